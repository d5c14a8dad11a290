package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lab/bench"
	"github.com/vendstream/vendstream/internal/lifecycle"
)

// otherMain is a program of others: as "loop" it is the bare loop, as "twice" one that
// calls the vendor once too often, and as "http" the clients, all of them net/http. It
// does not return.
func otherMain(args []string) {
	err := other(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func other(args []string) error {
	ctx, stop := lifecycle.Signals(context.Background(), nil)
	defer stop()
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	if args[0] == "http" {
		client, url, ca := flags.String("client", "", ""), flags.String("url", "", ""), flags.String("ca", "", "")
		inFlight, calls := flags.Int("in-flight", 0, ""), flags.Int("calls", 0, "")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if err := otherCalls(*client, *url, *ca, *inFlight, *calls); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	var o bench.LoopOptions
	flags.StringVar(&o.NATSURL, "nats-url", "", "")
	flags.StringVar(&o.VendorURL, "vendor-url", "", "")
	flags.StringVar(&o.Prefix, "prefix", "", "")
	flags.StringVar(&o.HTTPAddr, "http-addr", "", "")
	flags.IntVar(&o.InFlight, "in-flight", 0, "")
	redis := flags.String("redis-url", "", "")
	prepare := flags.Bool("prepare", false, "")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch {
	case *redis == "" || o.NATSURL == "" || o.Prefix == "" || o.InFlight == 0:
		return fmt.Errorf("something is missing in %q", args)
	case *prepare:
		return nil
	case args[0] == "twice":
		response, err := http.Post(o.VendorURL+"/purchase", "application/json", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		_ = response.Body.Close()
	}
	return bench.RunLoop(ctx, o)
}

// otherCalls makes calls and says so; where loseOne is set it leaves one out.
func otherCalls(client, url, ca string, inFlight, calls int) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(client != "net/http HTTP/2")
	protocols.SetHTTP2(client == "net/http HTTP/2")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, Protocols: protocols}
	post := func(path string) error {
		response, err := (&http.Client{Transport: transport}).Post(url+path, "application/json", strings.NewReader(`{"merchantReference":"r-1"}`))
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		answer, err := io.ReadAll(response.Body)
		if err == nil && !bytes.Contains(answer, []byte("VAS-r-1")) {
			err = fmt.Errorf("%s was answered with %s", path, answer)
		}
		return err
	}
	made := calls
	if os.Getenv(loseOne) != "" {
		made--
	}
	if inFlight < 1 {
		return fmt.Errorf("%d in flight", inFlight)
	}
	for range made {
		if err := post("/purchase"); err != nil {
			return err
		}
	}
	_, err = fmt.Printf(`{"calls":%d,"seconds":2,"cpu_seconds":0.5,"objects":%d}`+"\n", calls, 10*calls)
	return err
}

// loseOne is set where a client is to leave a call out.
const loseOne = "VENDLAB_TEST_LOSE_ONE"

// othersProgram is otherMain as a program.
func othersProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "others")
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec '%s' \"$@\"\n", asProgram, asOther, self)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBenchOthers(t *testing.T) {
	t.Setenv(asProgram, "1")
	stdout, stderr, code := runCommand(t, "bench", "others", "--vendstream", buildVendstream(t), "--program", othersProgram(t), "--quick",
		"--purchases", "100", "--in-flight", "8", "--with", "loop", "--rounds", "1", "--output", "json")
	if code != lifecycle.Done {
		t.Fatalf("code %d\n%s", code, stderr)
	}
	var records []studied
	if err := json.Unmarshal([]byte(stdout), &records); err != nil {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	figures, ratios := map[string]float64{}, map[string]float64{}
	for _, r := range records {
		if r.Measure != "rate" || r.Figure == nil {
			continue
		}
		if r.Rounds != 1 || r.Figure.Median <= 0 {
			t.Errorf("%+v, %+v", r, r.Figure)
		}
		if r.RatioTo == "" {
			figures[r.Case] = r.Figure.Median
		} else if r.Ratio != nil && strings.HasPrefix(r.Case, "vendstream at ") {
			ratios[r.RatioTo] = r.Ratio.Median
		}
	}
	for _, name := range []string{"vendstream", "bare loop", "loop"} {
		if figures[name+" at 0s"] <= 0 {
			t.Errorf("no rate of %s in %v", name, figures)
		}
		if _, there := ratios[name+" at 0s"]; there == (name == "vendstream") {
			t.Errorf("ratio of vendstream to %s: %t", name, there)
		}
	}
}

// A run whose count is wrong fails and says by how much; what was measured before is
// printed.
func TestBenchOthersOfAWrongCount(t *testing.T) {
	t.Setenv(asProgram, "1")
	stdout, stderr, code := runCommand(t, "bench", "others", "--vendstream", buildVendstream(t), "--program", othersProgram(t), "--quick",
		"--purchases", "100", "--in-flight", "4", "--with", "twice", "--rounds", "1", "--output", "csv")
	if code != lifecycle.Failed || !strings.Contains(stderr, "twice at 0s: ") || !strings.Contains(stderr, "the vendor was called 101 times for 100 purchases") ||
		!strings.Contains(stdout, "bare loop at 0s,rate,") {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
}

func TestBenchHTTP(t *testing.T) {
	got := study(t, "http", "--program", othersProgram(t), "--calls", "100", "--latency", "1ms", "--in-flight", "1")
	for _, client := range []string{"net/http HTTP/1.1", "net/http HTTP/2", "fasthttp HTTP/1.1"} {
		name := client + " at 1ms, 1 in flight: "
		for measure, want := range map[string]float64{"rate": 50, "cpu": 5000, "allocations": 10, "connections": 1} {
			if r := got[name+measure]; r.Figure == nil || math.Abs(r.Figure.Median-want) > 1e-9*want {
				t.Errorf("%s%s: %+v, %+v", name, measure, r, r.Figure)
			}
		}
		above(t, got, 0, name+"memory")
		if r := got[name+"cpu"]; (r.RatioTo == "") != (client == "net/http HTTP/1.1") {
			t.Errorf("%+v", r)
		}
	}
}

func TestBenchHTTPOfALostCall(t *testing.T) {
	t.Setenv(asProgram, "1")
	t.Setenv(loseOne, "1")
	stdout, stderr, code := runCommand(t, "bench", "http", "--program", othersProgram(t), "--calls", "100", "--latency", "0s", "--in-flight", "1", "--rounds", "1")
	if code != lifecycle.Failed || !strings.Contains(stderr, "the vendor counted 99 by HTTP/1.1 and 0 by HTTP/2") || stdout != "" {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
}

func TestBenchOthersOfWrongUse(t *testing.T) {
	directory := t.TempDir()
	for _, args := range [][]string{
		{"others", "--purchases", "1"},
		{"others", "--in-flight", "0"},
		{"others", "--latency", "-1s"},
		{"others", "--with", ""},
		{"others", "--with", "Water Mill"},
		{"others", "--with", "asynq,asynq"},
		{"others", "--with", "--prepare"},
		{"others", "--program", "/does/not/exist"},
		{"others", "--program", directory},
		{"others", "--rounds", "0"},
		{"http", "--calls", "1"},
		{"http", "--in-flight", "0"},
		{"http", "--latency", "11s"},
		{"http", "--program", directory},
		{"http", "--output", "xml"},
	} {
		stdout, stderr, code := runCommand(t, append([]string{"bench"}, args...)...)
		if code != lifecycle.Usage || stdout != "" || !strings.HasPrefix(stderr, "vendlab: ") {
			t.Errorf("%v: code %d\n%s%s", args, code, stdout, stderr)
		}
	}
}
