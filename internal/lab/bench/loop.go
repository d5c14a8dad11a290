package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/publisher"
)

// LoopOptions are what the bare loop needs.
type LoopOptions struct {
	NATSURL   string
	VendorURL string
	Prefix    string // of the subjects
	InFlight  int
	HTTPAddr  string // where /metrics is
	// WholeResult publishes the result as the contract wants it, on a subject that
	// takes one; otherwise the vendor's answer as it is.
	WholeResult bool
}

// RunLoop runs the bare loop until ctx or its parent ends: the least that a
// consumer does which loses nothing. It consumes, posts, publishes the answer and
// waits for the server's acknowledgement, then acknowledges. It has no claims, no
// checks, no second look and no retry, and reads of a body only its reference.
func RunLoop(ctx context.Context, o LoopOptions) error {
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	nc, err := nats.Connect(o.NATSURL)
	if err != nil {
		return fmt.Errorf("bench: the loop: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("bench: the loop: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.HTTPAddr)
	if err != nil {
		return fmt.Errorf("bench: the loop: %w", err)
	}
	web := &http.Server{Handler: http.HandlerFunc(serveAllocations), ReadHeaderTimeout: time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(listener) }) // ended by Close alone
	defer serving.Wait()
	defer func() { _ = web.Close() }()

	subjects := publisher.Subjects{Prefix: o.Prefix}
	consumer, err := js.Consumer(ctx, subjects.RequestsStream(), account)
	if err != nil {
		return fmt.Errorf("bench: the loop: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(max(2, o.InFlight)))
	if err != nil {
		return fmt.Errorf("bench: the loop: %w", err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	transport := vendor.NewTransport(o.InFlight)
	defer transport.CloseIdleConnections()
	l := &loop{js: js, subjects: subjects, url: o.VendorURL + "/purchase", client: &http.Client{Transport: transport}}
	if o.WholeResult {
		if l.results, err = publisher.NewStore(nc, subjects); err != nil {
			return fmt.Errorf("bench: the loop: %w", err)
		}
	}

	work := make(chan jetstream.Msg)
	errs := make(chan error, 1)
	var workers sync.WaitGroup
	for range o.InFlight {
		workers.Go(func() {
			for m := range work {
				if err := l.handle(ctx, m); err != nil && ctx.Err() == nil {
					select {
					case errs <- err:
						cancel()
					default:
					}
				}
			}
		})
	}
	for {
		m, err := messages.Next()
		if err != nil {
			break // stopped, or the server is gone; the one who measures will see
		}
		work <- m
	}
	close(work)
	workers.Wait()
	select {
	case err := <-errs:
		return fmt.Errorf("bench: the loop: %w", err)
	default:
		return nil
	}
}

type loop struct {
	js       jetstream.JetStream
	subjects publisher.Subjects
	url      string
	client   *http.Client
	results  *publisher.Store // nil: the vendor's answer is published as it is
}

var errAnswer = errors.New("the vendor did not answer with 200")

func (l *loop) handle(ctx context.Context, m jetstream.Msg) error {
	var body struct {
		Reference string `json:"merchantReference"`
	}
	if err := json.Unmarshal(m.Data(), &body); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(m.Data()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer lean")
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it was read to its end, or the error says why not
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errAnswer
	}
	if err := l.publish(ctx, body.Reference, answer); err != nil {
		return err
	}
	return m.Ack()
}

// publish waits until the server has stored it.
func (l *loop) publish(ctx context.Context, reference string, answer []byte) error {
	if l.results == nil {
		_, err := l.js.Publish(ctx, l.subjects.Result(account, reference), answer)
		return err
	}
	now := time.Now().UTC()
	_, err := l.results.PublishResult(ctx, &purchase.Result{
		Account: account, MerchantReference: reference,
		Status: purchase.StatusCompleted, ResponseCode: purchase.CodeSuccess, ResponseMessage: "Success",
		Receipt: answer, RequestDigest: sampleDigest, ProductCode: json.RawMessage(`"MTN-AIR"`), Amount: json.RawMessage(`25.00`),
		Source: purchase.SourcePurchase, Attempts: 1, RequestedAt: now, ResolvedAt: now,
	}, "")
	return err
}

// sampleDigest is as long as that of a request.
const sampleDigest = purchase.Digest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

// serveAllocations gives the one metric that is compared, under the name that the
// Prometheus client gives it.
func serveAllocations(w http.ResponseWriter, _ *http.Request) {
	read := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(read)
	fmt.Fprintf(w, "%s %d\n", allocationsMetric, read[0].Value.Uint64())
}
