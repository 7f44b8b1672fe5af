package cursor

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestCursor_IsOfOneList(t *testing.T) {
	t.Parallel()
	id := uuid.Must(uuid.NewV7())
	got, err := Deliveries.ID(Deliveries.OfID(id))
	require.NoError(t, err)
	require.Equal(t, id, got)
	path, err := Sites.Text(Sites.OfText("/a/ä"))
	require.NoError(t, err)
	require.Equal(t, "/a/ä", path)

	first, err := Deliveries.ID("")
	require.NoError(t, err)
	require.Equal(t, uuid.Max, first)
	begin, err := Sites.Text("")
	require.NoError(t, err)
	require.Empty(t, begin)

	for _, bad := range []string{
		id.String(), "x", "%", Intents.OfID(id), Deliveries.OfText("short"), Deliveries.OfID(id) + "A",
	} {
		_, err = Deliveries.ID(bad)
		require.ErrorIs(t, err, ErrInvalid, bad)
	}
	_, err = Sites.Text(EventTypes.OfText("user.created"))
	require.ErrorIs(t, err, ErrInvalid)
}

func TestPage_SaysWhetherMoreFollow(t *testing.T) {
	t.Parallel()
	of := func(last string) string { return "after " + last }
	rows, next := Page([]string{"a", "b", "c"}, 2, of)
	require.Equal(t, []string{"a", "b"}, rows)
	require.Equal(t, "after b", next)
	rows, next = Page([]string{"a", "b"}, 2, of)
	require.Equal(t, []string{"a", "b"}, rows)
	require.Empty(t, next)
}
