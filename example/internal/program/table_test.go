package program

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable_FitsALine(t *testing.T) {
	t.Parallel()
	text := NewTable("who", "why")
	text.Add("president", strings.Repeat("because ", 30))
	text.Add("head", strings.Repeat("é", 200))

	for line := range strings.Lines(text.String()) {
		line = strings.TrimSuffix(line, "\n")
		require.LessOrEqual(t, len([]rune(line)), tableWidth)
		require.NotEmpty(t, line)
	}
	require.Equal(t, 30, strings.Count(text.String(), "because"))
	require.Equal(t, 200, strings.Count(text.String(), "é"))
}
