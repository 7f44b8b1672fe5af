package receiver

import (
	"encoding/json"
	"net/http"

	"github.com/riverhook/riverhook/dialect"
)

// Cancel is the response of a gate that says no to the question which it was sent, an
// event of a type "before:...": who asks is told the reason. The [Receiver] must be
// Sync, since any other answer of 2xx agrees, the 202 of one that is not among them.
func Cancel(reason string) Response {
	body, _ := json.Marshal(map[string]string{"reason": reason}) //nolint:errchkjson // a text always encodes
	return Response{
		Status:      http.StatusOK,
		ContentType: dialect.ContentTypeCancel,
		Body:        body,
	}
}
