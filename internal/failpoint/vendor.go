package failpoint

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/vendor"
)

// Vendor puts points around a client's HTTP calls and around the token share.
func (s *Set) Vendor(c vendor.Config) vendor.Config {
	c.Through = func(next http.RoundTripper) http.RoundTripper { return transport{s, next} }
	if c.Share != nil {
		c.Share = share{at{s, "vendor"}, c.Share}
	}
	return c
}

type transport struct {
	set  *Set
	next http.RoundTripper
}

// RoundTrip has its second point when the vendor has answered and nobody knows.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var answer *http.Response
	err := t.set.effect(endpoint(r), func() (err error) {
		answer, err = t.next.RoundTrip(r)
		return err
	})
	if err != nil {
		if answer != nil {
			_ = answer.Body.Close()
		}
		return nil, err
	}
	return answer, nil
}

// endpoint names the call as its point: purchases and polls by who makes them.
func endpoint(r *http.Request) string {
	path := r.URL.Path
	role := roleOf(r.Context()) + ".http."
	switch {
	case strings.HasSuffix(path, "/purchase"):
		return role + "purchase"
	case strings.HasSuffix(path, "/transactions"):
		return role + "transactions"
	case strings.Contains(path, "/lookup/"):
		return role + "lookup"
	case strings.HasSuffix(path, "/auth/token"):
		return "vendor.http.token"
	case strings.HasSuffix(path, "/auth/token/refresh"):
		return "vendor.http.token_refresh"
	case strings.HasSuffix(path, "/products"):
		return "vendor.http.products"
	case strings.HasSuffix(path, "/products/categories"):
		return "vendor.http.categories"
	case strings.HasSuffix(path, "/fields"):
		return "vendor.http.category_fields"
	default:
		return "vendor.http." + path
	}
}

type share struct {
	at
	next vendor.TokenShare
}

func (s share) Load(ctx context.Context, slot string) ([]byte, time.Duration, error) {
	var age time.Duration
	record, err := value(s.at, "share.load", func() (record []byte, err error) {
		record, age, err = s.next.Load(ctx, slot)
		return record, err
	})
	if err != nil {
		return nil, 0, err
	}
	return record, age, nil
}

func (s share) Acquire(ctx context.Context, slot, owner string, seen []byte, lease time.Duration) (bool, error) {
	return value(s.at, "share.acquire", func() (bool, error) { return s.next.Acquire(ctx, slot, owner, seen, lease) })
}

func (s share) Store(ctx context.Context, slot, owner string, record []byte, ttl time.Duration) (bool, error) {
	return value(s.at, "share.store", func() (bool, error) { return s.next.Store(ctx, slot, owner, record, ttl) })
}
