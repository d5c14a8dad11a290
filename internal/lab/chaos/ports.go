package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// firstPort and lastPort are below those that systems give to outgoing connections:
// such a one would take the port of a server that is down.
const firstPort, lastPort = 20_000, 30_000

// freePorts finds ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for at, tried := rand.IntN(lastPort-firstPort), 0; len(ports) < n; at, tried = at+1, tried+1 {
		if tried > lastPort-firstPort {
			return nil, errors.New("chaos: no free ports on loopback")
		}
		port := firstPort + at%(lastPort-firstPort)
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", loopback(port))
		if err != nil {
			continue
		}
		_ = listener.Close()
		ports = append(ports, port)
	}
	return ports, nil
}
