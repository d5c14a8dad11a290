package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"github.com/vendstream/vendstream/internal/app"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/telemetry"
)

// RunConsumer is `vendstream consumer` as part of vendlab, for profiles.
func RunConsumer(ctx context.Context, file string) error {
	cfg, _, err := config.Load(config.Options{Environ: []string{"VENDSTREAM_CONFIG=" + file}})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	log, err := telemetry.Logger(os.Stderr, "info", telemetry.FormatJSON)
	if err != nil {
		return err
	}
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	err = app.Run(ctx, cfg, app.Options{Roles: app.Roles{Consumer: true}, Log: log})
	if errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// Profiled runs a program and writes its profiles into dir: cpu, and of the whole
// run allocs, block and mutex. "" runs it as it is.
func Profiled(dir string, program func() error) (failed error) {
	if dir == "" {
		return program()
	}
	// Rare enough to change little of what is measured.
	runtime.SetBlockProfileRate(100_000)
	runtime.SetMutexProfileFraction(100)
	file, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { failed = errors.Join(failed, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	err = program()
	pprof.StopCPUProfile()
	for _, name := range []string{"allocs", "block", "mutex"} {
		err = errors.Join(err, writeProfile(filepath.Join(dir, name+".pprof"), name))
	}
	return err
}

func writeProfile(path, name string) (failed error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { failed = errors.Join(failed, file.Close()) }()
	if err := pprof.Lookup(name).WriteTo(file, 0); err != nil {
		return fmt.Errorf("bench: write the profile %s: %w", name, err)
	}
	return nil
}
