package receiver_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

func TestRegistry_RefusesAReceiverThatCannotWork(t *testing.T) {
	t.Parallel()
	good := func() receiver.Receiver {
		return receiver.Receiver{
			Func:     func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil },
			Name:     "in",
			Verifier: dialect.HubVerifier(nil),
		}
	}
	for _, tt := range []struct {
		want   string
		change func(rec *receiver.Receiver)
	}{
		{"Receiver.Name", func(rec *receiver.Receiver) { rec.Name = "In" }},
		{"Receiver.Func", func(rec *receiver.Receiver) { rec.Func = nil }},
		{"anyone can send", func(rec *receiver.Receiver) { rec.Verifier = nil }},
		{"Receiver.HookSecret", func(rec *receiver.Receiver) {
			rec.Verifier, rec.Tokens = nil, receiver.StaticTokens{}
			rec.HookSecret = func(context.Context, string, string) error { return nil }
		}},
		{"Receiver.MaxAttempts", func(rec *receiver.Receiver) { rec.MaxAttempts = 1001 }},
		{"Receiver.MaxBody", func(rec *receiver.Receiver) { rec.MaxBody = -1 }},
		{"Receiver.Timeout", func(rec *receiver.Receiver) { rec.Timeout = 16 * time.Minute }},
		{"Receiver.Timeout is 30ns", func(rec *receiver.Receiver) { rec.Timeout = 30 }},
	} {
		rec := good()
		tt.change(&rec)
		registry := &receiver.Registry{}

		require.ErrorContains(t, registry.Register(rec), tt.want)
		require.Empty(t, registry.Names())
	}
	registry, err := receiver.NewRegistry(good())
	require.NoError(t, err)
	require.ErrorContains(t, registry.Register(good()), "taken")
	for _, url := range []string{"", "app.example.com", "ftp://a", "https://a/?b", "https://a/#b"} {
		_, err := receiver.NewHandler(registry, receiver.NewMemory(registry), &receiver.Config{BaseURL: url})
		require.ErrorContains(t, err, "BaseURL", url)
	}
}

func TestReceiver_ItsWaitBeforeARetryGrowsToAnHour(t *testing.T) {
	t.Parallel()
	registry, err := receiver.NewRegistry(receiver.Receiver{
		Func:     func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil },
		Name:     "in",
		Verifier: dialect.HubVerifier(nil),
	})
	require.NoError(t, err)
	rec, ok := registry.Get("in")
	require.True(t, ok)

	for attempt, want := range map[int]time.Duration{
		1: time.Second, 2: 4 * time.Second, 6: 1024 * time.Second, 7: time.Hour, 100: time.Hour,
	} {
		got := rec.Backoff(attempt)
		require.GreaterOrEqual(t, got, want, attempt)
		require.LessOrEqual(t, got, want*6/5, attempt)
	}
}

func TestStaticTokens_ATokenIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	token, hash := receiver.NewToken()
	require.GreaterOrEqual(t, len(token), 26)
	tokens := receiver.StaticTokens{"ann": hash, "bob": receiver.HashToken("another")}

	owner, err := tokens.Owner(t.Context(), "in", receiver.HashToken(token))
	require.NoError(t, err)
	require.Equal(t, "ann", owner)
	_, err = tokens.Owner(t.Context(), "in", receiver.HashToken(token+" "))
	require.ErrorIs(t, err, receiver.ErrNoToken)
	require.ErrorContains(t, receiver.Report(t.Context(), "x"), "not that of an attempt")
}
