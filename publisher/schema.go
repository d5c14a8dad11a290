package publisher

import (
	"bytes"
	_ "embed" // the schemas
)

//go:embed schema/request.schema.json
var requestSchema []byte

//go:embed schema/result.schema.json
var resultSchema []byte

// RequestSchema is the JSON Schema (2020-12) of a request's body. A body that it
// accepts is sent to the vendor, as far as a schema can say: it cannot say that a
// body has at most 64 KiB, that no key stands twice in an object, or which
// channelId the account has. The caller may change the bytes.
func RequestSchema() []byte { return bytes.Clone(requestSchema) }

// ResultSchema is the JSON Schema (2020-12) of a result's body. Every published
// result obeys it. Subscribers should ignore fields that it does not name: later
// versions may add some. The caller may change the bytes.
func ResultSchema() []byte { return bytes.Clone(resultSchema) }
