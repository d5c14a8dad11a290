package main

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
)

// serveMetrics gives the count of objects put on the heap below /metrics, until stop
// is called.
func serveMetrics(ctx context.Context, addr string) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	web := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "go_memstats_mallocs_total %d\n", objects())
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(listener) }) // ended by Close alone
	return func() {
		_ = web.Close()
		serving.Wait()
	}, nil
}

// objects is how many have been put on the heap so far.
func objects() uint64 {
	read := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(read)
	return read[0].Value.Uint64()
}

func connect(s settings) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect(s.natsURL)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// reference reads of a request's body what every one of them needs.
func reference(body []byte) (string, error) {
	var request struct {
		Reference string `json:"merchantReference"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return "", err
	}
	return request.Reference, nil
}

var errAnswer = errors.New("the vendor did not answer with 200")

// post buys by net/http and returns the vendor's answer.
func post(ctx context.Context, client *http.Client, vendorURL string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, vendorURL+"/purchase", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer lean")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it was read to its end, or the error says why not
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errAnswer
	}
	return answer, nil
}

// crew runs n workers until ctx ends or one of them fails, and returns the first
// failure.
func crew(ctx context.Context, n int, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	var first sync.Once
	var working sync.WaitGroup
	for range n {
		working.Go(func() {
			if err := work(ctx); err != nil && ctx.Err() == nil {
				first.Do(func() { failed = err })
				cancel()
			}
		})
	}
	working.Wait()
	return failed
}
