package decide_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

func TestExpect_IsWhatAnExternalizerHasMadeLately(t *testing.T) {
	t.Parallel()
	var (
		data    []byte
		failing error
	)
	h := host{externalize: func(context.Context, dialect.Event) ([]byte, error) { return data, failing }}
	d, in := decider(t, &h), input(match(nil))
	expect := func(want int, isGuess bool) {
		t.Helper()
		bytes, guess := d.Messages.Expect(&in.Event, "plain", 7)()
		require.Equal(t, want, bytes)
		require.Equal(t, isGuess, guess)
	}
	makes := func(bytes int, err error) {
		data, failing = []byte(strconv.Quote(strings.Repeat("d", bytes-2))), err
		d.Decide(t.Context(), nil, in)
	}

	expect(2000, true) // of the data, and of the message
	makes(100, errors.New("it hangs"))
	expect(1000, true)
	makes(100, errors.New("it hangs"))
	expect(500, true)
	makes(100, nil)
	expect(300, false) // of the data, of the message, and of its statement
	makes(900, nil)
	expect(600, false)
	makes(900, errors.New("it hangs"))
	expect(600, false)

	in.Event.Type = "user.deleted"
	expect(2000, true)
	h.externalize = nil
	expect(7, false)
}

func TestDialects_AreThoseThatMessagesAreMissingIn(t *testing.T) {
	t.Parallel()
	in := func(name string) decide.Match {
		return match(func(s *subscription.Subscription) { s.Dialect = name })
	}
	off := match(func(s *subscription.Subscription) { s.Dialect, s.State = "hub", subscription.StateDeactivated })
	matches := []decide.Match{in("plain"), in("svix"), in("plain"), in("stripe"), off}

	require.Equal(t, map[string]bool{"plain": true, "stripe": true}, decide.Dialects(matches, map[string]dialect.Message{"svix": {}}))
	require.Empty(t, decide.Dialects(nil, nil))
}
