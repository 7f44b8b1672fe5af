package filter

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/hostile"
)

// FuzzCompile_NeverPanicsAndTheSameSaysTheSameAgain compiles any text and evaluates what compiles: nothing panics, what is
// refused is said in one line, and the same expression says the same again.
func FuzzCompile_NeverPanicsAndTheSameSaysTheSameAgain(f *testing.F) {
	for _, text := range hostile.Texts() {
		f.Add(text, `{"a": 1}`)
		f.Add("type == '''"+text+"'''", `{"a": 1}`)
		f.Add("data.a == 1", text)
	}
	for _, text := range hostile.Impossible() {
		f.Add(text, text)
	}
	for _, expr := range []string{
		`type == "order.paid" && data.total > 100.5`, `data.items.exists(i, i.n == 2)`, `data.?a.orValue(1) == 1`,
		`data.a.matches("^[a-z]+$")`, `data.map(x, [x, x]).map(x, [x, x]) == []`, `{"a": data.a}["a"] == data[data.a]`,
		`timestamp(data.a) > timestamp(0) || duration("1s") < duration(data.a)`, `1 / data.a == 1 ? true : size(data) > 1`,
		`optional.of(data).optMap(x, [x, x]).hasValue()`, `b"\xff" == bytes(data.a)`, strings.Repeat("[", 100),
	} {
		f.Add(expr, `{"a": 1, "items": [{"n": 2}], "total": 1e3}`)
		f.Add(expr, `[[[1, "a", null, 1e400, -0, 0.1e-9]]]`)
	}
	f.Fuzz(func(t *testing.T, expr, data string) {
		p, err := Compile(expr, nil)
		if err != nil {
			oneLine(t, err)
			return
		}
		require.LessOrEqual(t, utf8.RuneCountInString(expr), maxLength)
		ev := &Event{
			Type:       "order.paid",
			Attributes: map[string]string{"a": data},
			Data:       []byte(data),
		}
		first, firstErr := p.Matches(t.Context(), ev)
		if firstErr != nil {
			require.False(t, first)
			oneLine(t, firstErr)
		}
		second, secondErr := p.Matches(t.Context(), ev)
		require.Equal(t, first, second)
		require.Equal(t, firstErr == nil, secondErr == nil)
	})
}

func oneLine(t *testing.T, err error) {
	t.Helper()
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, len(err.Error()), 400)
	require.NotContains(t, err.Error(), "panicked")
}
