package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// fillResults leaves the results stream room for a few results more, and takes the
// limit away again.
func (w *world) fillResults(ctx context.Context, p Planned, in *Injected) error {
	name := subjects.ResultsStream()
	limit := func(room int64) error {
		return again(ctx, wholeWithin, "the limit of "+name, func(ctx context.Context) error {
			stream, err := w.nats.js.Stream(ctx, name)
			if err != nil {
				return err
			}
			info := stream.CachedInfo()
			info.Config.MaxBytes = -1
			if room >= 0 {
				info.Config.MaxBytes = int64(info.State.Bytes) + room
			}
			_, err = w.nats.js.UpdateStream(ctx, info.Config)
			return err
		})
	}
	in.Target = name
	if err := limit(4 << 10); err != nil {
		return err
	}
	in.At = time.Now()
	pause(ctx, p.For)
	return limit(-1)
}

// diskSize is that of the small disk which one nats-server has where the machine
// allows it.
const diskSize = 768 << 20

// fillDisk takes all room from one nats-server's disk, gives it back, and starts
// the server again: it stops using a disk that was full.
func (w *world) fillDisk(ctx context.Context, p Planned, in *Injected) error {
	if w.disk == "" {
		return fmt.Errorf("%w: %s", errSkipped, w.noDisk)
	}
	node := w.nats.nodes[len(w.nats.nodes)-1]
	in.Target, in.At = node.name, time.Now()
	ballast := filepath.Join(w.disk, "ballast")
	if err := fill(ballast); err != nil {
		return err
	}
	pause(ctx, p.For)
	err := os.Remove(ballast)
	node.kill()
	if err := errors.Join(err, node.start()); err != nil {
		return err
	}
	return w.nats.healthy(ctx, led(), wholeWithin)
}

// fill writes until the disk is full.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("chaos: fill the disk: %w", err)
	}
	defer func() { _ = file.Close() }()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for block := make([]byte, size); err == nil; {
			_, err = file.Write(block)
		}
		if errors.Is(err, io.ErrShortWrite) || isFull(err) {
			err = nil
			continue
		}
		return fmt.Errorf("chaos: fill the disk: %w", err)
	}
	return nil
}
