package vendor

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReadGrant(t *testing.T) {
	for body, want := range map[string]grant{
		`{"successful":true,"data":{"token":"a","refreshToken":"r","expiresIn":1800,"userTypeId":77}}`: {"a", "r", 30 * time.Minute, "77"},
		`{"successful":true,"data":{"token":"a","expiresIn":"60"},"userTypeId":"x"}`:                   {"a", "", time.Minute, "x"},
		`{"accessToken":"a","expiresIn":1800}`:                                                         {"a", "", 30 * time.Minute, ""},
		`{"accessToken":"a","refreshToken":"r","expiresIn":0.5,"userTypeId":"7"}`:                      {"a", "r", time.Second / 2, "7"},
		`{"accessToken":"a","data":{"userTypeId":"7"},"userTypeId":"8"}`:                               {"a", "", 30 * time.Minute, "7"},
		`{"accessToken":"a","userTypeId":"8","data":{"token":"a"}}`:                                    {"a", "", 30 * time.Minute, "8"},
		`{"accessToken":"a","expiresIn":0}`:                                                            {"a", "", 30 * time.Minute, ""},
		`{"accessToken":"a","expiresIn":-1}`:                                                           {"a", "", 30 * time.Minute, ""},
		`{"accessToken":"a","expiresIn":1e99}`:                                                         {"a", "", 30 * time.Minute, ""},
		`{"accessToken":"a","expiresIn":"NaN"}`:                                                        {"a", "", 30 * time.Minute, ""},
	} {
		if got, err := readGrant([]byte(body)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", body, got, err, want)
		}
	}
}

func TestReadGrantRefuses(t *testing.T) {
	for body, want := range map[string]error{
		``:                        errEmpty,
		`{"accessToken":"a"}x`:    errNotJSON,
		`["a"]`:                   errWrongType,
		`{}`:                      errNoToken,
		`{"accessToken":""}`:      errNoToken,
		`{"accessToken":{}}`:      errWrongType,
		`{"data":"a"}`:            errWrongType,
		`{"data":{"token":[]}}`:   errWrongType,
		`{"token":"a"}`:           errNoToken, // neither shape
		`{"accessToken":"a\r\n"}`: errNoToken,
		`{"accessToken":"é"}`:     errNoToken,
		`{"accessToken":"` + strings.Repeat("a", maxToken+1) + `"}`: errNoToken,
		`{"successful":false,"data":{"token":"a"}}`:                 errNoToken,
		`{"success":"yes","accessToken":"a"}`:                       errWrongType,
		`{"accessToken":"a","accessToken":"b"}`:                     errAmbiguous,
		`{"accessToken":"a","AccessToken":"b"}`:                     errAmbiguous,
		`{"accessToken":"a","data":{"token":"b"}}`:                  errTwoValues,
	} {
		if got, err := readGrant([]byte(body)); !errors.Is(err, want) || got != (grant{}) {
			t.Errorf("%.60s: %+v, %v; want %v", body, got, err, want)
		}
	}
}
