package main

import (
	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lab"
)

func (p *program) dev() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Keep the servers and the daemons running, to develop against",
		Long: `Keep an embedded NATS server, an embedded Redis, the simulated vendor and the
daemons running on fixed ports of loopback, until SIGTERM or SIGINT. Accounts: acme
and beta, without purchase limits.

What NATS holds survives a restart, in --data-dir. Redis and the vendor's memory do
not: a purchase that was open when dev stopped stays open, since the vendor has
forgotten it.`,
		Args: cobra.NoArgs,
	}
	o := lab.DevOptions{Stderr: p.Stderr}
	cmd.Flags().StringVar(&o.Dir, "data-dir", ".vendlab", "where NATS keeps its streams, and the configuration file is written")
	cmd.Flags().IntVar(&o.Ports.NATS, "nats-port", 4222, "port of the NATS server")
	cmd.Flags().IntVar(&o.Ports.Redis, "redis-port", 6379, "port of Redis")
	cmd.Flags().IntVar(&o.Ports.Vendor, "vendor-port", 8090, "port of the simulated vendor")
	cmd.Flags().IntVar(&o.Ports.HTTP, "http-port", 8080, "port of /healthz, /readyz and /metrics of the daemons")
	cmd.Flags().BoolVar(&o.NoDaemons, "no-daemons", false, "run only the servers")
	cmd.RunE = p.action(func(cmd *cobra.Command) error {
		for name, port := range map[string]int{
			"nats-port": o.Ports.NATS, "redis-port": o.Ports.Redis, "vendor-port": o.Ports.Vendor, "http-port": o.Ports.HTTP,
		} {
			if port < 0 || port > 65535 {
				return usage("--%s must be 1 to 65535, or 0 for any free one", name)
			}
		}
		if o.Dir == "" {
			return usage("--data-dir must not be empty")
		}
		o.Started = func(d lab.Dev) {
			if p.Started != nil {
				p.Started(started{Vendor: d.VendorURL, Config: d.ConfigFile, HTTP: d.HTTPAddr})
			}
		}
		return lab.RunDev(cmd.Context(), o)
	})
	return cmd
}
