package dedupe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ErrEviction says that Redis may drop records that have not expired: its
// maxmemory-policy is not noeviction. A claim that vanishes lets a second worker
// begin the same purchase.
var ErrEviction = errors.New("dedupe: redis may evict claims")

const (
	policyField   = "maxmemory_policy"
	policySetting = "maxmemory-policy"
	policyKeep    = "noeviction"
)

// unknownPolicy is the warning where Redis does not tell its policy.
const unknownPolicy = "redis does not tell its " + policySetting +
	"; it must be " + policyKeep + ", or claims may be dropped"

// CheckPolicy asks every master for its maxmemory-policy. Any other than
// noeviction is ErrEviction, whether maxmemory is set or not: it may be set at
// any time. A server that tells neither by INFO nor by CONFIG (an embedded one,
// or a service that forbids both) gives a warning and no error. Any other error
// says that Redis could not be asked.
func (s *Store) CheckPolicy(ctx context.Context) (warning string, err error) {
	var policies []string
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		var mu sync.Mutex // masters are asked side by side
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			policy, err := policyOf(ctx, master)
			mu.Lock()
			defer mu.Unlock()
			policies = append(policies, policy)
			return err
		})
	} else {
		var policy string
		policy, err = policyOf(ctx, s.client)
		policies = append(policies, policy)
	}
	if err != nil {
		return "", fmt.Errorf("dedupe: check policy: %w", err)
	}
	for _, policy := range policies {
		switch policy {
		case policyKeep:
		case "":
			warning = unknownPolicy
		default:
			return "", fmt.Errorf("%w: %s is %s, set it to %s", ErrEviction, policySetting, policy, policyKeep)
		}
	}
	return warning, nil
}

// policyOf is a server's policy, or "" where the server refuses to tell. INFO is
// asked first: managed services that forbid CONFIG allow it.
func policyOf(ctx context.Context, server redis.Cmdable) (string, error) {
	info, err := server.Info(ctx, "memory").Result()
	if err == nil {
		lines := bufio.NewScanner(strings.NewReader(info))
		for lines.Scan() {
			if policy, ok := strings.CutPrefix(lines.Text(), policyField+":"); ok {
				return strings.TrimSpace(policy), nil
			}
		}
	} else if !refused(err) {
		return "", err
	}
	config, err := server.ConfigGet(ctx, policySetting).Result()
	if err == nil {
		return config[policySetting], nil
	}
	if refused(err) {
		return "", nil
	}
	return "", err
}

// refused tells a command that the server does not have or does not allow from
// a server that could not be asked. A server that is loading, or asks for a
// password, could not be asked.
func refused(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") ||
		redis.HasErrorPrefix(err, "unknown") ||
		redis.HasErrorPrefix(err, "section") // an embedded server, of INFO
}
