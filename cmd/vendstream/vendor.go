package main

import (
	"errors"
	"slices"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/vendor"
)

// vendor is a client of the vendor for a configured account, or for the only one
// where name is empty. It needs neither NATS nor Redis, and logs in for itself.
// ready, where set, says whether the account has all that the command needs. The
// caller closes the client.
func (p *program) vendor(name string, ready func(config.Account) error) (*vendor.Client, config.Account, error) {
	cfg, _, err := p.load(false)
	if err != nil {
		return nil, config.Account{}, err
	}
	if name, err = account(cfg, name); err != nil {
		return nil, config.Account{}, err
	}
	at := slices.IndexFunc(cfg.Accounts, func(a config.Account) bool { return a.Name == name })
	if at < 0 {
		return nil, config.Account{}, usage("--account: account %s is not configured, and the vendor wants its credentials", name)
	}
	one := cfg.Accounts[at]
	if ready != nil {
		if err := ready(one); err != nil {
			return nil, one, err
		}
	}
	client, err := vendor.New(vendor.Config{
		Account: one.Name, BaseURL: one.BaseURL, Username: one.Username, Password: one.Password.Reveal(),
		UserType: one.UserType, UserTypeID: one.UserTypeID, MerchantID: one.MerchantID, Timeout: cfg.Vendor.Timeout,
	})
	if err != nil {
		return nil, one, &lifecycle.Exit{Code: lifecycle.Usage, Err: err}
	}
	return client, one, nil
}

// away gives an error the exit code of a failed connection where it says that
// the vendor could not be reached.
func away(err error) error {
	if errors.Is(err, vendor.ErrAway) {
		return &lifecycle.Exit{Code: lifecycle.NotConnected, Err: err}
	}
	return err
}
