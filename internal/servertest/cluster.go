package servertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSCluster starts servers that are one cluster, and end with the test.
func NATSCluster(tb testing.TB, nodes int) []*NATSServer {
	tb.Helper()
	ports := make([]int, nodes)
	routes := make([]string, nodes)
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			tb.Fatalf("servertest: %v", err)
		}
		routes[i] = fmt.Sprintf("nats-route://127.0.0.1:%d", ports[i])
	}
	all := make([]*NATSServer, nodes)
	for i := range all {
		all[i] = &NATSServer{tb: tb, dir: tb.TempDir(), port: server.RANDOM_PORT, extend: func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n-%d", i+1)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}}
		all[i].Start()
		tb.Cleanup(all[i].Stop)
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	late := time.After(natsWait)
	for _, s := range all {
		for !s.server.JetStreamIsCurrent() {
			select {
			case <-poll.C:
			case <-late:
				tb.Fatal("servertest: the nats-servers did not become a cluster")
			}
		}
	}
	return all
}
