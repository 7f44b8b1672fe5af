package access

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// From outside it is a race which of the two is seen first.
func TestCheckMany_AnAnswerAfterTheContextIsDoneDoesNotCount(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	e := &entry{name: "default checker"}
	require.Equal(t, []error{nil, ErrDenied}, e.judge(ctx, 2, []error{nil, ErrDenied}))
	cancel()
	for _, err := range e.judge(ctx, 2, []error{nil, ErrDenied}) {
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrDenied)
	}
}
