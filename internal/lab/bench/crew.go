package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/vendstream/vendstream/publisher"
)

// crew is consumers at work.
type crew struct {
	w         *world
	vendor    *process
	consumers []*process
}

// members are all processes of a run; those of one kind stand together.
func (c *crew) members() (all []*process, kinds map[string][]int) {
	kinds = map[string][]int{}
	for _, kind := range []struct {
		name      string
		processes []*process
	}{
		{measureCPU, c.consumers}, {measureCPUNATS, c.w.servers()}, {measureCPURedis, []*process{c.w.redis}}, {"", []*process{c.vendor}},
	} {
		for _, p := range kind.processes {
			kinds[kind.name] = append(kinds[kind.name], len(all))
			all = append(all, p)
		}
	}
	return all, kinds
}

func (c *crew) kill() {
	for _, p := range c.consumers {
		p.kill()
	}
	c.vendor.kill()
}

// run works off a backlog.
func (o ProcessesOptions) run(ctx context.Context, p place, r crewRun) (figures, error) {
	n := o.backlog(r.processes)
	if err := r.world.fill(ctx, r.prefix, 0, n); err != nil {
		return nil, err
	}
	c := &crew{w: r.world}
	defer c.kill()
	var url string
	var err error
	c.vendor, url, err = beginServer(ctx, "the vendor", r.world.file(r.prefix+"-vendor.log"), p.self, "bench", "vendor", "--latency", o.Latency.String())
	if err != nil {
		return nil, err
	}
	config, err := r.world.configure(r.prefix, url, "", o.InFlight)
	if err != nil {
		return nil, err
	}
	for i := range r.processes {
		one, err := begin(fmt.Sprintf("consumer %d", i+1), r.world.file(fmt.Sprintf("%s-%d.log", r.prefix, i+1)), nil, p.binary, "consumer", "--config", config)
		if err != nil {
			return nil, err
		}
		c.consumers = append(c.consumers, one)
	}
	samples, err := c.watch(ctx, publisher.Subjects{Prefix: r.prefix}.ResultsStream(), n)
	if err != nil {
		return nil, err
	}
	if err := r.world.settled(ctx, r.prefix); err != nil {
		return nil, err
	}
	most := int64(0)
	for _, one := range c.consumers {
		if err := one.stop(); err != nil {
			return nil, err
		}
		most = max(most, one.peak)
	}
	stamps, err := r.world.stamps(ctx, publisher.Subjects{Prefix: r.prefix}.ResultsStream(), n)
	if err != nil {
		return nil, err
	}
	times := make([]time.Time, len(stamps))
	for i, s := range stamps {
		times[i] = s.at
	}
	f := c.figures(middle(times), samples)
	f[measurePossible] = 100 * f[measureRate] / o.possible(r.processes)
	f[measureMemory] = megabytes(most)
	return f, r.world.clear(ctx, r.prefix)
}

// watch samples until there are n results.
func (c *crew) watch(ctx context.Context, stream string, n int) ([]sample, error) {
	all, _ := c.members()
	var samples []sample
	results, moved := 0, time.Now()
	for {
		s := sample{at: time.Now()}
		for _, p := range all {
			used, err := p.used()
			if err != nil {
				return nil, err
			}
			s.cpu = append(s.cpu, used)
		}
		samples = append(samples, s)
		now, err := c.w.stored(ctx, stream)
		switch {
		case err != nil:
			return nil, err
		case now >= n:
			return samples, nil
		case now > results:
			results, moved = now, time.Now()
		case time.Since(moved) > stuckWait+settling:
			return nil, c.consumers[0].explain(fmt.Errorf("no new result for %s; there are %d of %d", stuckWait+settling, results, n))
		}
		for _, p := range all {
			if err := p.ended(); err != nil {
				return nil, err
			}
		}
		if err := sleep(ctx, looks*samplePeriod); err != nil {
			return nil, err
		}
	}
}

// figures are those of the middle of a run.
func (c *crew) figures(part window, samples []sample) figures {
	all, kinds := c.members()
	f := figures{measureRate: part.rate()}
	used := time.Duration(0)
	for i := range all {
		used += part.cpu(samples, i)
	}
	for _, name := range []string{measureCPU, measureCPUNATS, measureCPURedis} {
		f[name] = microseconds(part.cpu(samples, kinds[name]...))
	}
	f[measureMachine] = 100 * used.Seconds() * part.rate() / float64(runtime.NumCPU())
	return f
}
