package filter

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// large is an event with data of 350 KB that is large in each way.
func large(t *testing.T) *Event {
	t.Helper()
	type item struct {
		N   int    `json:"n"`
		SKU string `json:"sku"`
	}
	items := make([]item, 5000)
	for i := range items {
		items[i] = item{i, "sku"}
	}
	deep := any(1)
	for range 500 {
		deep = []any{deep}
	}
	data, err := json.Marshal(map[string]any{
		"deep": deep, "few": items[:100], "items": items, "line": strings.Repeat("a", maxMatched), "numbers": make([]int, 15_000),
		"text": strings.Repeat("a", 200_000),
	})
	require.NoError(t, err)
	return &Event{Type: "order.paid", Data: data}
}

// An expression stops soon after its limit whatever it does: by nesting, by what
// doubles, by what looks at much in one call, by types that only the data decides.
func TestCost_WhatCostsTooMuchIsStopped(t *testing.T) {
	t.Parallel()

	doubled := func(from, step string) string { return from + strings.Repeat(".map(x, "+step+")", 19) + " == []" }
	ones := "[" + strings.Repeat("1,", 200) + "1]"
	ev := large(t)
	for name, tt := range map[string]struct{ expr, want string }{
		"loops within loops":            {`data.few.all(a, data.few.all(b, data.few.all(c, a.n + b.n + c.n >= 0)))`, "may cost"},
		"a loop within a loop":          {`data.few.all(a, data.few.all(b, a.n + b.n >= 0))`, "cost more than 20000"},
		"a long loop":                   {`data.numbers.map(n, n).size() == 0`, "cost more than 20000"},
		"long lists compared":           {`data.numbers.all(n, data.numbers == data.numbers)`, "cost more than 20000"},
		"of whatever type":              {`data.few.all(a, dyn(data.few) == dyn(data.few))`, "cost more than 20000"},
		"in a long list":                {`data.few.all(a, !(a in data.numbers))`, "cost more than 20000"},
		"within short ones":             {`data.few.all(a, [data.numbers] == [data.numbers])`, "cost more than 20000"},
		"counted":                       {`data.few.all(a, size(data.numbers) > 1)`, "cost more than 20000"},
		"long texts joined":             {`data.few.all(a, data.text < data.text + "a")`, "cost more than 20000"},
		"long texts searched":           {`data.few.all(a, !data.text.contains("b"))`, "cost more than 20000"},
		"long texts converted":          {`data.few.all(a, bytes(data.text) == b"a")`, "cost more than 20000"},
		"a regular expression":          {`data.few.all(a, !data.line.matches("(a?){10}b"))`, "cost more than 20000"},
		"a long text for it":            {`data.text.matches("b")`, "cost more than 20000"},
		"much data counted":             {`size(data.items) == 5000`, "more than 20000 elements"},
		"a loop over much data":         {`data.items.exists(i, i.n == 1)`, "more than 20000 elements"},
		"all data":                      {`data == data`, "more than 20000 elements"},
		"many times many":               {`[` + strings.Repeat("data.numbers,", 100) + `1] == [1]`, "more than 20000 elements"},
		"pairs doubled":                 {doubled(`[[type]]`, `[x, x]`), "cost more than 20000"},
		"lists doubled":                 {doubled(`[[type]]`, `x + x`), "cost more than 20000"},
		"lists of the data doubled":     {doubled(`[dyn(data.deep)]`, `x + x`), "may cost"},
		"objects doubled":               {doubled(`[[type]]`, `{"a": x, "b": x}`), "cost"},
		"texts doubled":                 {doubled(`[type]`, `x + x`), "may cost"},
		"texts of any type doubled":     {doubled(`[dyn(type)]`, `x + x`), "may cost"},
		"a literal that is looped over": {ones + `.all(a, ` + ones + `.all(b, a == b))`, "may cost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Compile(tt.expr, nil)
			if err == nil {
				_, err = p.Matches(t.Context(), ev)
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestCost_OfOrdinaryExpressionsIsFarLessThanTheLimit(t *testing.T) {
	t.Parallel()

	for _, expr := range []string{
		`data.few.exists(i, i.n == 99)`,
		`data.few.filter(i, i.n > 50).map(i, i.n).size() == 49`,
		`data.deep[0][0] == [1] || type == "order.paid"`,
		`size(data.numbers) == 15000`,
		`data.few[0].sku.matches("^sku$")`,
	} {
		p, err := Compile(expr, nil)
		require.NoError(t, err, expr)
		matches, err := p.Matches(t.Context(), large(t))
		require.NoError(t, err, expr)
		require.True(t, matches, expr)
	}
}

func TestCost_ALimitOfOnesOwnHoldsWhenCompiledAndWhenRun(t *testing.T) {
	t.Parallel()

	const expr = `data.exists(n, n == 1)`
	_, err := Compile(expr, &Opts{MaxCost: 10})
	require.ErrorContains(t, err, "at most 10 is allowed")

	p, err := Compile(expr, &Opts{MaxCost: 400})
	require.NoError(t, err)
	data, err := json.Marshal(make([]int, 300))
	require.NoError(t, err)
	_, err = p.Matches(t.Context(), &Event{Data: data})
	require.ErrorContains(t, err, "cost more than 400")
	_, err = p.Matches(t.Context(), &Event{Data: []byte(`[0, 1]`)})
	require.NoError(t, err)
}
