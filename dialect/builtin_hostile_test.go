package dialect_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/hostile"
)

// What an event names can be any text: no built-in dialect fails at it, and
// Request lets none of it add a line.
func TestBuiltIn_DialectsSendEventsThatNameAnything(t *testing.T) {
	t.Parallel()
	at, secrets := time.Unix(1700000000, 0), []dialect.Secret{parse(t, secretText)}
	for _, d := range dialect.BuiltIn() {
		for name, text := range hostile.Texts() {
			data, err := json.Marshal(text)
			require.NoError(t, err)
			msg, err := d.Envelope(dialect.Event{
				ID:           "msg_1",
				Type:         "user.created",
				Site:         "/" + text,
				ActiveSite:   text,
				Channel:      text,
				Actor:        text,
				ResourceKind: text,
				ResourceID:   text,
				Attributes:   map[string]string{text: text},
				OccurredAt:   at,
			}, data)
			require.NoError(t, err, "%s: %s", d.Name(), name)
			require.True(t, json.Valid(msg.Body), "%s: %s", d.Name(), name)
			_, err = d.Request(msg, dialect.Destination{Secrets: secrets}, dialect.Attempt{Number: 1, At: at})
			require.NoError(t, err, "%s: %s", d.Name(), name)
		}
	}
}
