package lab

import (
	"fmt"
	"os"
	"strings"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/simulator"
)

// basePath is where the simulated vendor's API begins.
const basePath = "/api/v1"

// The accounts of the lab. beta's requests leave out their channelId, so that the
// configured one is seen to be filled in.
const (
	acme        = "acme"
	beta        = "beta"
	betaChannel = "APP"
)

// password is no secret: it opens nothing but the simulated vendor.
func password(account string) string { return account + "-secret" }

// vendorAccounts are the accounts as the vendor knows them.
func vendorAccounts() []simulator.Account {
	return []simulator.Account{
		{Username: acme, Password: password(acme), MerchantName: "Acme", MerchantID: "1001"},
		{Username: beta, Password: password(beta), MerchantName: "Beta", MerchantID: "1002", UserType: "SUB_MERCHANT"},
	}
}

// accountsYAML is the same for the daemons. limits gives the purchase limit of an
// account, "" for none. With a catalog what is not for sale is refused here, and
// the vendor never sees it.
func accountsYAML(vendorURL string, limits map[string]string, catalog bool) string {
	var text strings.Builder
	text.WriteString("accounts:\n")
	for _, a := range vendorAccounts() {
		userType, channel, limit := a.UserType, "", limits[a.Username]
		if userType == "" {
			userType = "MERCHANT"
		}
		if a.Username == beta {
			channel = betaChannel
		}
		if limit == "" {
			limit = "{requests: 0}"
		}
		merchant := ""
		if catalog {
			merchant = a.MerchantID
		}
		fmt.Fprintf(&text, "  - {name: %s, base_url: %q, username: %s, password: %s, user_type: %s, merchant_id: %q, channel_id: %q, purchase_limit: %s}\n",
			a.Username, vendorURL+basePath, a.Username, password(a.Username), userType, merchant, channel, limit)
	}
	return text.String()
}

// serversYAML says where the servers are.
func serversYAML(s *Servers, httpAddr string) string {
	return fmt.Sprintf("nats: {url: %q}\nredis: {url: %q}\nhttp: {addr: %q}\n", s.NATSURL, s.RedisURL, httpAddr)
}

// loadConfig reads a configuration file's text as the daemons would, with all
// their checks. Nothing of the process's environment bears on it.
func loadConfig(text string) (*config.Config, error) {
	cfg, _, err := config.Load(config.Options{
		Environ: []string{"VENDSTREAM_CONFIG=lab"},
		ReadFile: func(name string) ([]byte, error) {
			if name != "lab" {
				return nil, os.ErrNotExist
			}
			return []byte(text), nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("lab: the lab's own configuration: %w", err)
	}
	return cfg, nil
}
