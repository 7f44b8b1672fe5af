package payload

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck_WhatIsNoDataIsSaidSo(t *testing.T) {
	t.Parallel()
	lists := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for text, want := range map[string]string{
		"":                               "must be valid JSON",
		"\"\xff\"":                       "must be valid UTF-8",
		"{\"a\":":                        "must be valid JSON",
		"1 2":                            "must be valid JSON",
		lists(513):                       "is nested more than 512 levels deep",
		strings.Repeat("[", 1e6):         "is nested more than 512 levels deep",
		lists(512):                       "",
		"null":                           "",
		"\"\\ud800\"":                    "",
		"{\"a\":\"" + lists(513) + "\"}": "",
	} {
		err := Check([]byte(text))
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
	}
}
