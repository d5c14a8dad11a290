package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/vendstream/vendstream/internal/output"
)

// Study is what the measurements beside the bench itself have in common. All but
// Dir and Vendstream is required.
type Study struct {
	Rounds     int
	Dir        string // where files are put, and removed at the end; "" is the system's place for temporary ones
	Vendstream string // path of the program; "" builds it
	Format     output.Format
	Stdout     io.Writer
	Stderr     io.Writer
}

// place is where a study works.
type place struct {
	dir    string
	self   string // path of vendlab
	binary string // path of vendstream; "" where it is not needed
}

// begin makes the directory, where there must be room for that many bytes, and
// builds vendstream where it is needed. leave removes the directory.
func (s Study) begin(ctx context.Context, room int64, program bool) (_ place, leave func() error, err error) {
	p := place{binary: s.Vendstream}
	if p.dir, err = os.MkdirTemp(s.Dir, "vendlab-bench-"); err != nil {
		return p, nil, fmt.Errorf("bench: %w", err)
	}
	leave = func() error { return os.RemoveAll(p.dir) }
	defer func() {
		if err != nil {
			err = errors.Join(err, leave())
		}
	}()
	if err := checkRoom(p.dir, room); err != nil {
		return p, nil, err
	}
	if p.self, err = os.Executable(); err != nil {
		return p, nil, fmt.Errorf("bench: %w", err)
	}
	if program && p.binary == "" {
		s.say("building vendstream")
		if p.binary, err = build(ctx, p.dir); err != nil {
			return p, nil, err
		}
	}
	s.say("%d processors, %s, nats-server %s, files in %s", runtime.NumCPU(), runtime.Version(), natsVersion, p.dir)
	return p, leave, nil
}

// spare is what is left on a disk beside what a study takes.
const spare = 1 << 30

// checkRoom fails where a disk has too little room for that many bytes.
func checkRoom(dir string, bytes int64) error {
	free, known := freeDisk(dir)
	if known && free < bytes+spare {
		return fmt.Errorf("bench: %s has %d MB free, and %d MB may be needed: choose another place with --dir, or measure less",
			dir, free>>20, (bytes+spare)>>20)
	}
	return nil
}

// say tells how far it is.
func (s Study) say(format string, args ...any) {
	fmt.Fprintf(s.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// turn is the order of a round: every other one goes the other way round, so that
// what comes first is not always the same.
func turn[T any](round int, all []T) []T {
	order := slices.Clone(all)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// diskOf is the size of all files below a directory, in bytes.
func diskOf(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return ignoreGone(err)
	})
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return size, nil
}

// ignoreGone: a server at work removes files.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// until tries again and again until done says so, and fails where that takes longer
// than within.
func until(ctx context.Context, within, every time.Duration, what string, done func() (bool, error)) error {
	for began := time.Now(); ; {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if time.Since(began) > within {
			return fmt.Errorf("bench: not within %s: %s", within, what)
		}
		if err := sleep(ctx, every); err != nil {
			return err
		}
	}
}
