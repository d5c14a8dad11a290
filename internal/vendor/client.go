package vendor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

const (
	defaultTimeout     = 30 * time.Second
	defaultMaxInFlight = 64
)

// The values of Config.UserType (pagamio-api.md, "Transactions").
const (
	UserTypeMerchant    = "MERCHANT"
	UserTypeSubMerchant = "SUB_MERCHANT"
)

// Config is one account's access to the vendor. BaseURL, Username and Password
// are required.
type Config struct {
	Account  string // for errors and metrics, and part of what a share tells accounts apart by
	BaseURL  string // e.g. https://vas-api.pagamio.tech/api/v1
	Username string
	Password string
	// UserType is UserTypeMerchant (default) or UserTypeSubMerchant.
	UserType string
	// UserTypeID is the account's own id; from the login answer if empty.
	UserTypeID string
	// MerchantID is the account's id in the catalog's path; Products needs it.
	MerchantID string
	// Timeout is that of each call of a method, with the token it may have to get
	// first and all that a 401 asks for; default 30 s.
	Timeout time.Duration
	// MaxInFlight is how many purchases are made at once. It sizes the pool of
	// connections and limits nothing else; default 64.
	MaxInFlight int
	// Share is where the account's processes keep one token together, sealed with a
	// key that follows from the password; nil: this one gets its own. New takes about
	// 0.15 s to derive the key.
	Share TokenShare
	// stretching replaces the constant in tests, which make many clients.
	stretching int
	// Transport replaces the client's own. One that calls no httptrace hooks makes
	// every failure Unknown, as it proves nothing. It is not closed by Close.
	Transport http.RoundTripper
	// Through, where set, wraps the transport, the client's own too: a seam for tests.
	Through func(http.RoundTripper) http.RoundTripper
	// Observe is told of every HTTP exchange; nil: nobody. It is called from many
	// goroutines and must be quick.
	Observe func(Call)
}

// Call is one HTTP exchange, for metrics.
type Call struct {
	// Endpoint is token, token_refresh, purchase, transactions, products,
	// categories, category_fields, or lookup_ and its kind.
	Endpoint string
	// Kind is the outcome's name; of token and token_refresh ok, unauthorized,
	// limited, unreachable or error.
	Kind     string
	Status   int // 0: no answer
	Duration time.Duration
}

// Client talks to the vendor for one account. It is safe for concurrent use.
type Client struct {
	baseURL    string
	userType   string
	userTypeID string
	merchantID string
	timeout    time.Duration
	observe    func(Call)
	// transport is called without an http.Client, which would follow redirects: a
	// purchase that is sent on by a 307 could be made twice, and a token does not
	// belong on another host.
	transport http.RoundTripper
	owned     *http.Transport // nil where the transport is the caller's
	session   *session
	now       func() time.Time
}

// New makes a client and calls nobody: the first token is had when it is needed,
// or by Check. The error joins everything that is wrong with the configuration,
// and shows no secret. A Client must be closed.
func New(config Config) (*Client, error) {
	base, err := config.check()
	if err != nil {
		return nil, fmt.Errorf("vendor: account %q: %w", config.Account, err)
	}
	c := &Client{
		baseURL:    base,
		userType:   config.UserType,
		userTypeID: config.UserTypeID,
		merchantID: config.MerchantID,
		timeout:    config.Timeout,
		observe:    config.Observe,
		now:        time.Now,
	}
	if c.userType == "" {
		c.userType = UserTypeMerchant
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.observe == nil {
		c.observe = func(Call) {}
	}
	transport := config.Transport
	if transport == nil {
		size := config.MaxInFlight
		if size == 0 {
			size = defaultMaxInFlight
		}
		c.owned = NewTransport(size)
		transport = c.owned
	}
	if config.Through != nil {
		transport = config.Through(transport)
	}
	c.transport = transport
	c.session = newSession(c, config.Username, config.Password)
	if config.Share != nil {
		c.session.sharing = newSharing(config.Share, &lazyVault{
			id:         identity{config.Account, base, config.Username, config.Password},
			iterations: cmp.Or(config.stretching, stretching),
		})
	}
	return c, nil
}

func (config *Config) check() (baseURL string, err error) {
	var wrong []error
	base, err := url.Parse(config.BaseURL)
	switch {
	// The text of a parse error shows the URL, in which somebody may have put a password.
	case err != nil, base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		wrong = append(wrong, errors.New("field BaseURL is not an http or https URL"))
	case base.User != nil, base.RawQuery != "", base.Fragment != "":
		wrong = append(wrong, errors.New("field BaseURL must have no user, query or fragment"))
	}
	if config.Username == "" || config.Password == "" {
		wrong = append(wrong, errors.New("fields Username and Password are required"))
	}
	switch config.UserType {
	case "", UserTypeMerchant, UserTypeSubMerchant:
	default:
		wrong = append(wrong, fmt.Errorf("field UserType is neither %s nor %s", UserTypeMerchant, UserTypeSubMerchant))
	}
	if config.Timeout < 0 {
		wrong = append(wrong, errors.New("field Timeout is negative"))
	}
	if config.MaxInFlight < 0 {
		wrong = append(wrong, errors.New("field MaxInFlight is negative"))
	}
	if len(wrong) > 0 {
		return "", errors.Join(wrong...)
	}
	return strings.TrimRight(config.BaseURL, "/"), nil
}

// Purchase posts a purchase, body as it is, and says what the answer proves. An
// answer that bears another merchantReference than reference is Unknown.
//
// It is posted once, and again only after a 401. Where ctx or the time limit
// ends before a connection was had the outcome is Unreachable, afterwards
// Unknown. Nothing that bears on tokens can make it Unknown: a purchase without
// a token is not sent.
func (c *Client) Purchase(ctx context.Context, reference string, body []byte) purchase.Outcome {
	return c.authorized(ctx, call{
		endpoint: "purchase",
		path:     "/purchase",
		body:     body,
		limit:    maxPurchaseAnswer,
	}, func(status int, body []byte) purchase.Outcome {
		return classify(status, body, reference)
	})
}

// Transaction looks a purchase up in /transactions, by transactionID where it is
// not empty, else by reference. Only an item that bears what was asked for is
// used. Completed, Failed and InFlight are what a matching item proves; NotFound
// is that none was shown, which proves nothing: it may not be visible yet, or
// the vendor may not filter by reference. Everything else is Unknown, Limited,
// Unauthorized, Forbidden or Unreachable; the call changes nothing at the vendor.
func (c *Client) Transaction(ctx context.Context, transactionID, reference string) purchase.Outcome {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	userTypeID := c.userTypeID
	if userTypeID == "" {
		known, err := c.session.token(ctx)
		if err != nil {
			return tokenOutcome(err)
		}
		userTypeID = known.userTypeID
	}
	parameters := url.Values{"userType": {c.userType}}
	if userTypeID != "" { // else the vendor says whether it can do without
		parameters.Set("userTypeId", userTypeID)
	}
	if transactionID != "" {
		parameters.Set("transactionId", transactionID)
	} else {
		parameters.Set("merchantReference", reference)
	}
	outcome := c.authorized(ctx, call{
		endpoint: "transactions",
		path:     "/transactions",
		query:    parameters.Encode(),
		limit:    maxTransactionsAnswer,
	}, func(status int, body []byte) purchase.Outcome {
		return classifyTransactions(status, body, query{transactionID, reference})
	})
	if userTypeID == "" && (outcome.Kind == purchase.NotFound || outcome.Kind == purchase.Unknown) {
		outcome.Cause = errors.Join(errNoUserTypeID, outcome.Cause)
	}
	return outcome
}

// errNoUserTypeID explains a look-up that found nothing: neither the
// configuration nor the login answer has the account's id.
var errNoUserTypeID = errors.New("no userTypeId is known: set the account's user_type_id")

// Check reports whether a token can be had, and gets one where none is at hand.
// nil says that the credentials were good and the vendor was there at the last
// login or refresh, not that it is there now.
func (c *Client) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if _, err := c.session.token(ctx); err != nil {
		return fmt.Errorf("vendor: no token: %w", err)
	}
	return nil
}

// Prepare derives the key of shared tokens from the password, if that has not
// been done: it takes a processor 0.15 s, and waits while as many clients as there
// are processors do the same. A purchase that comes first waits for it, within its
// time limit; so prepare a client before it is given work. Nobody is called. The
// error is ctx's, or that the key cannot be derived, without which no token is
// shared.
func (c *Client) Prepare(ctx context.Context) error {
	if err := c.session.prepare(ctx); err != nil {
		return fmt.Errorf("vendor: prepare: %w", err)
	}
	return nil
}

// Close ends a login under way, waits for it, and closes idle connections. Calls
// that are being made are not ended: wait for them first. Calls made afterwards are
// Unreachable. Close may be called more than once.
func (c *Client) Close() {
	c.session.close()
	if c.owned != nil {
		c.owned.CloseIdleConnections()
	}
}
