package dedupe

import (
	"testing"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Many tests take Redis away, and go-redis tells of every failed dial.
	logging.Disable()
	goleak.VerifyTestMain(m)
}
