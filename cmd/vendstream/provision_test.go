package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/servertest"
)

func TestProvision(t *testing.T) {
	t.Parallel()
	s := servertest.NATS(t)
	_, js := s.Connect()
	provision := func(e env, code int, args ...string) (actions []broker.Action, verbs string) {
		t.Helper()
		stdout, stderr, got := runCommand(t, e, append([]string{"provision", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &actions); err != nil || got != code {
			t.Fatalf("code %d, stdout %s, stderr %s: %v", got, stdout, stderr, err)
		}
		for _, a := range actions {
			verbs += a.Verb + " "
		}
		return actions, verbs
	}
	e := acme(s)
	if _, verbs := provision(e, 0, "--dry-run"); verbs != strings.Repeat("create ", 7) {
		t.Errorf("a dry run: %s", verbs)
	}
	if _, err := js.Stream(t.Context(), "PURCHASES_REQUESTS"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the dry run made a stream: %v", err)
	}
	server := env{Environ: []string{"VENDSTREAM_NATS_URL=" + s.URL()}}
	if _, verbs := provision(server, 0); verbs != strings.Repeat("create ", 5) {
		t.Errorf("without accounts: %s", verbs)
	}
	if actions, verbs := provision(e, 0); verbs != "keep keep keep keep keep create create " || actions[5].Object != "consumer PURCHASES_REQUESTS/acme" {
		t.Errorf("%+v", actions)
	}

	results, err := js.Stream(t.Context(), "PURCHASES_RESULTS")
	if err != nil {
		t.Fatal(err)
	}
	wrong := results.CachedInfo().Config
	wrong.DiscardNewPerSubject = false
	wrong.MaxMsgsPerSubject = 5
	if _, err := js.UpdateStream(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := runCommand(t, e, "provision", "--dry-run", "-o", "csv")
	for _, want := range []string{
		"object,action,setting,have,want,breaks\n",
		"stream PURCHASES_REQUESTS,keep,,,,\n",
		"stream PURCHASES_RESULTS,update,max_msgs_per_subject,5,1,a purchase could have two results\n",
		"stream PURCHASES_RESULTS,update,discard_new_per_subject,false,true,",
	} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("code %d: no %q in %s", code, want, stdout)
		}
	}
	if stderr != "dry run: nothing was changed\n" {
		t.Errorf("stderr %q", stderr)
	}
	if _, verbs := provision(e, 0); verbs != "keep keep update keep keep keep keep " {
		t.Errorf("%s", verbs)
	}
	if _, verbs := provision(e, 0); verbs != strings.Repeat("keep ", 7) {
		t.Errorf("%s", verbs)
	}
}

func TestProvisionRefusedByTheServer(t *testing.T) {
	t.Parallel()
	s := servertest.NATS(t)
	_, js := s.Connect()
	// The storage of a stream cannot be changed.
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "PURCHASES_PENDING", Subjects: []string{"purchases.pending.*.*"}, Storage: jetstream.MemoryStorage, Retention: jetstream.WorkQueuePolicy,
	}); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := runCommand(t, acme(s), "provision")
	if code != lifecycle.Failed || !strings.Contains(stdout, "stream PURCHASES_REQUESTS  create") || strings.Contains(stdout, "PENDING") {
		t.Errorf("code %d, stdout %s", code, stdout)
	}
	if !strings.Contains(stderr, "update stream PURCHASES_PENDING") {
		t.Errorf("stderr %q", stderr)
	}
}
