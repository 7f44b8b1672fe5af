package outbox

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnqueue_DataThatIsNotUTF8NamesItsField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, bad := valid(), valid()
	good.ID, bad.ID = "good", "bad"
	bad.Data = map[string]any{"people": []any{map[string]string{"name": "caf\xe9"}}}

	_, err := b.client.Enqueue(t.Context(), b.tx, bad)
	require.ErrorIs(t, err, ErrInvalidIntent)
	require.ErrorContains(t, err, `Data: must be valid UTF-8: that at "people.0.name" is not`)
	_, err = b.client.EnqueueMany(t.Context(), b.tx, []Intent{good, bad})
	require.ErrorContains(t, err, `intent 1: Data: must be valid UTF-8`)

	var n int
	require.NoError(t, b.tx.QueryRow(t.Context(), "SELECT count(*) FROM riverhook.intent").Scan(&n))
	require.Zero(t, n)
	good.Data = map[string]string{"name": "\ufffd"} // the character itself is no fault
	_, err = b.client.Enqueue(t.Context(), b.tx, good)
	require.NoError(t, err)
}
