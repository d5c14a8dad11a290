package vendor

import (
	"cmp"
	"errors"
	"strconv"
	"time"
)

const (
	// defaultLifetime is the documented life of an access token, for an answer
	// that does not say ("Authentication").
	defaultLifetime = 30 * time.Minute
	maxLifetime     = 24 * time.Hour
	// renewBefore is how much life a token has left when it is renewed
	// ("Authentication", client pattern).
	renewBefore = 5 * time.Minute
	maxToken    = 16 << 10 // bytes
)

var errNoToken = errors.New("the answer holds no usable token")

// grant is what a login or refresh gives.
type grant struct {
	token        string
	refreshToken string // empty where the answer has none
	lifetime     time.Duration
	userTypeID   string // empty where the answer has none
}

var (
	tokenTopFields  = []string{"data", "success", "successful", "accessToken", "refreshToken", "expiresIn", "userTypeId"}
	tokenDataFields = []string{"token", "refreshToken", "expiresIn", "userTypeId"}
)

// readGrant reads both documented shapes: {"successful":true,"data":{"token",…}}
// and {"accessToken",…}. An answer that bears two tokens, says that it was not
// successful, or bears a token that cannot stand in a header is an error.
// userTypeId is data.userTypeId, else userTypeId (ASSUMED).
func readGrant(body []byte) (grant, error) {
	if err := wholeJSON(body); err != nil {
		return grant{}, err
	}
	top, err := readObject(body, tokenTopFields)
	if err != nil {
		return grant{}, err
	}
	for _, name := range []string{"success", "successful"} {
		if value, there, err := top.flag(name); err != nil || (there && !value) {
			return grant{}, errors.Join(errNoToken, err)
		}
	}
	flat, err := top.grant("accessToken")
	if err != nil {
		return grant{}, err
	}
	if top.get("data") == nil {
		return flat.usable()
	}
	data, err := readObject(top.get("data"), tokenDataFields)
	if err != nil {
		return grant{}, err
	}
	g, err := data.grant("token")
	if err != nil {
		return grant{}, err
	}
	switch {
	case g.token != "" && flat.token != "" && g.token != flat.token:
		return grant{}, errTwoValues
	case g.token == "":
		flat.userTypeID = cmp.Or(g.userTypeID, flat.userTypeID)
		g = flat
	default:
		g.userTypeID = cmp.Or(g.userTypeID, flat.userTypeID)
	}
	return g.usable()
}

// grant reads one level, with the token under its name there.
func (o object) grant(tokenName string) (grant, error) {
	var g grant
	var seconds string
	for _, field := range []struct {
		name string
		into *string
	}{{tokenName, &g.token}, {"refreshToken", &g.refreshToken}, {"expiresIn", &seconds}, {"userTypeId", &g.userTypeID}} {
		text, err := o.text(field.name)
		if err != nil {
			return grant{}, err
		}
		*field.into = text
	}
	g.lifetime = lifetime(seconds)
	return g, nil
}

// lifetime reads expiresIn, in seconds. What cannot be read or be true is taken
// for the documented 30 minutes: the vendor's 401 corrects it.
func lifetime(seconds string) time.Duration {
	n, err := strconv.ParseFloat(seconds, 64)
	if err != nil || !(n > 0) || n > maxLifetime.Seconds() {
		return defaultLifetime
	}
	return time.Duration(n * float64(time.Second))
}

// usable asks for a token of visible ASCII, as a header takes no other.
func (g grant) usable() (grant, error) {
	if g.token == "" || len(g.token) > maxToken {
		return grant{}, errNoToken
	}
	for i := range len(g.token) {
		if c := g.token[i]; c <= ' ' || c > '~' {
			return grant{}, errNoToken
		}
	}
	return g, nil
}
