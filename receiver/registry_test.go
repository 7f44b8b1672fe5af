package receiver_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/receiver"
)

func TestUnregister_AReceiverIsGoneAndItsEventsWait(t *testing.T) {
	t.Parallel()
	registry := &receiver.Registry{}
	ran := make(chan receiver.Event, 1)
	failing := receiver.Receiver{
		Backoff: func(int) time.Duration { return time.Millisecond },
		Name:    "in",
		Raw:     true,
		Tokens:  receiver.StaticTokens{"ann": receiver.HashToken("token")},
		Func: func(context.Context, receiver.Event) (receiver.Response, error) {
			require.True(t, registry.Unregister("in"))
			return receiver.Response{}, errors.New("not yet")
		},
	}
	require.NoError(t, registry.Register(failing))
	inbox := receiver.NewMemory(registry)
	t.Cleanup(inbox.Close)
	handler, err := receiver.NewHandler(registry, inbox, &receiver.Config{BaseURL: "https://app.example.com"})
	require.NoError(t, err)
	post := func() int { return record(handler, newRequest(t, http.MethodPost, "/in/token", nil)) }
	require.False(t, registry.Unregister("other"))
	require.Equal(t, http.StatusAccepted, post())
	require.Eventually(t, func() bool { return len(registry.Names()) == 0 }, 20*time.Second, time.Millisecond)

	require.Equal(t, http.StatusNotFound, post())
	require.False(t, registry.Unregister("in"))
	_, err = handler.HookURL("in", "token")
	require.Error(t, err)
	page, err := inbox.List(t.Context(), receiver.EventFilter{State: receiver.Pending})
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
	failing.Func = func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		ran <- ev
		return receiver.Response{}, nil
	}
	require.NoError(t, registry.Register(failing), "the name is free")

	require.Equal(t, 2, (<-ran).Attempt)
}
