package access_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
)

func TestResource_ReadsAsKindAndID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "user:42", access.Resource{Kind: "user", ID: "42"}.String())
	require.Equal(t, "user", access.Resource{Kind: "user"}.String())
	require.Equal(t, "42", access.Resource{ID: "42"}.String())

	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("decided", slog.Any("resource", access.Resource{Kind: "user", ID: "42"}))
	require.Contains(t, log.String(), "resource=user:42")
}
