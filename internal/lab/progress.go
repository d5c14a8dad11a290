package lab

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how many purchases have ended: as a bar on a terminal, else as a
// few plain lines.
type progress struct {
	out   io.Writer
	total int
	bar   *progressbar.ProgressBar // nil without a terminal
	shown int                      // quarters that were told in lines
}

func newProgress(out io.Writer, plain bool, total int) *progress {
	p := &progress{out: out, total: total}
	if terminal(out) && !plain {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription("vending"),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// say tells what begins.
func (p *progress) say(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
		return
	}
	fmt.Fprintln(p.out, what)
}

// set tells how many are done. A terminal that does not take it is not worth an
// error.
func (p *progress) set(done int) {
	done = min(done, p.total)
	if p.bar != nil {
		if done < p.total { // the full bar is cleared, and there is more to come
			_ = p.bar.Set(done)
		}
		return
	}
	for p.total > 0 && p.shown < 4 && done*4 >= (p.shown+1)*p.total {
		p.shown++
		fmt.Fprintf(p.out, "%d of %d purchases have ended\n", p.shown*p.total/4, p.total)
	}
}

func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

func terminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
