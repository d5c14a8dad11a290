// Package telemetry is what the programs say about themselves: logs, metrics,
// and the HTTP server that health probes and Prometheus ask.
package telemetry

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
)

// Log formats.
const (
	FormatJSON    = "json"    // one object a line
	FormatConsole = "console" // for people; coloured on a terminal
)

// Logger writes to w, which is standard error in the programs: standard output
// carries data only. level is one of zerolog's names, such as "info". Times are
// RFC 3339 in UTC, with nanoseconds.
func Logger(w io.Writer, level, format string) (zerolog.Logger, error) {
	lowest, err := zerolog.ParseLevel(level)
	if err != nil || level == "" {
		return zerolog.Nop(), fmt.Errorf("telemetry: no log level %q", level)
	}
	switch format {
	case FormatJSON:
	case FormatConsole:
		w = zerolog.ConsoleWriter{Out: w, NoColor: !terminal(w), TimeFormat: "15:04:05.000", TimeLocation: time.UTC}
	default:
		return zerolog.Nop(), fmt.Errorf("telemetry: no log format %q", format)
	}
	return zerolog.New(w).Level(lowest).Hook(zerolog.HookFunc(stamp)), nil
}

// stamp adds the time. zerolog's own way takes format and zone from variables of
// its package, which other users of it would share.
func stamp(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(time.RFC3339Nano))
}

func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
