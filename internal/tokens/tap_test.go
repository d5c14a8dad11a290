package tokens_test

import (
	"net/http"
	"regexp"
	"slices"
	"sync"
)

// tap reads along what the vendor answers to logins and refreshes.
type tap struct {
	next http.Handler

	mu   sync.Mutex
	said []string
}

var tokenPattern = regexp.MustCompile(`"(?:token|refreshToken)":"([^"]+)"`)

func (p *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.next.ServeHTTP(&tapped{w, p}, r)
}

// tokens are all that were issued.
func (p *tap) tokens() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.said)
}

type tapped struct {
	http.ResponseWriter
	tap *tap
}

func (w *tapped) Write(body []byte) (int, error) {
	w.tap.mu.Lock()
	for _, found := range tokenPattern.FindAllSubmatch(body, -1) {
		w.tap.said = append(w.tap.said, string(found[1]))
	}
	w.tap.mu.Unlock()
	return w.ResponseWriter.Write(body)
}
