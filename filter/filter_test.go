package filter

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// order is an event whose data has one of everything.
func order() *Event {
	return &Event{
		Type:         "order.paid",
		Site:         "/shop/eu",
		ActiveSite:   "/hq",
		ResourceKind: "order",
		ResourceID:   "o-17",
		Actor:        "ada",
		Channel:      "c1",
		Attributes:   map[string]string{"tier": "gold"},
		Data: []byte(`{
			"total": 120, "rate": 1.5, "exact": 2.0, "big": 9007199254740993, "huge": 18446744073709551616, "zero": 0,
			"currency": "EUR", "paid": true, "note": null, "secret": "hunter2",
			"items": [{"sku": "book-1", "n": 1}, {"sku": "pen-2", "n": 20}], "list": [1, 2, 3], "nested": {"a": {"b": "c"}}
		}`),
	}
}

func TestMatches_SeesTheEvent(t *testing.T) {
	t.Parallel()

	for expr, want := range map[string]bool{
		`type == "order.paid"`:                                    true,
		`type.startsWith("order.")`:                               true,
		`site == "/shop/eu" && active_site == "/hq"`:              true,
		`resource.kind == "order"`:                                true,
		`resource.id == "o-18"`:                                   false,
		`actor == "ada" && channel == "c1"`:                       true,
		`attributes.tier == "gold"`:                               true,
		`attributes["tier"] in ["silver", "gold"]`:                true,
		`has(attributes.colour)`:                                  false,
		`attributes.?colour.orValue("red") == "red"`:              true,
		`data.currency == "EUR"`:                                  true,
		`data.paid == true`:                                       true,
		`data.paid == "true"`:                                     false,
		`data.note == null`:                                       true,
		`has(data.note)`:                                          true,
		`has(data.total) && data.total > 100`:                     true,
		`has(data.refund) && data.refund > 100`:                   false,
		`data.?customer.?tier.orValue("none")=="none"`:            true,
		`data.items.exists(i, i.sku == "pen-2")`:                  true,
		`data.items.all(i, i.n > 10)`:                             false,
		`data.items.map(i, i.n).exists(n, n == 20)`:               true,
		`data.items.filter(i, i.n > 1).size() == 1`:               true,
		`data.nested.a.b == "c"`:                                  true,
		`data["nested"]["a"] == {"b": "c"}`:                       true,
		`2 in data.list`:                                          true,
		`data.list == [1, 2, 3]`:                                  true,
		`size(data.items) == 2`:                                   true,
		`data.currency.matches("^(EUR|CHF)$")`:                    true,
		`matches(data.currency, "(?i)^eur$")`:                     true,
		`data.currency.matches("^E$")`:                            false,
		`type(data.total) == int`:                                 true,
		`timestamp("2026-01-02T03:04:05Z").getHours() == 3`:       true,
		"data.total > 100 &&\n\tdata.currency == 'EUR' // or CHF": true,
	} {
		t.Run(expr, func(t *testing.T) {
			t.Parallel()
			p, err := Compile(expr, nil)
			require.NoError(t, err)
			for range 2 {
				got, err := p.Matches(t.Context(), order())
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		})
	}
}

func TestMatches_NumbersCompareWhicheverWayTheyAreWritten(t *testing.T) {
	t.Parallel()

	for expr, want := range map[string]bool{
		`data.total > 100`:                       true,
		`data.total > 100.0`:                     true,
		`data.total == 120.0`:                    true,
		`data.rate > 1`:                          true,
		`data.rate == 1`:                         false,
		`data.exact == 2`:                        true,
		`data.exact in data.list`:                true,
		`data.big == 9007199254740993`:           true,
		`data.big == 9007199254740992`:           false,
		`data.huge > 1`:                          true,
		`data.total * 2 == 240`:                  true,
		`data.rate * 2.0 == 3.0`:                 true,
		`double(data.total) * 1.5 == 180.0`:      true,
		`data.rate * double(2) == 3.0`:           true,
		`type(data.total) == int`:                true,
		`type(data.exact) == double`:             true,
		`type(data.huge) == double`:              true,
		`data.total == "120"`:                    false,
		`data.list[0] < 1.5 && 0.5 < data.total`: true,
	} {
		t.Run(expr, func(t *testing.T) {
			t.Parallel()
			p, err := Compile(expr, nil)
			require.NoError(t, err)
			got, err := p.Matches(t.Context(), order())
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestCompile_WhatIsNoFilterIsRefusedByItsPlace(t *testing.T) {
	t.Parallel()

	for expr, want := range map[string]string{
		``:                                "Syntax error",
		`type ==`:                         "line 1, column 8: Syntax error",
		`type == "a" && knd == "b"`:       "line 1, column 16: undeclared reference to 'knd'",
		"type == 'a' &&\n  foo":           "line 2, column 3: undeclared reference to 'foo'",
		`resource.knd == "a"`:             "line 1, column 9: undeclared reference to 'resource.knd' (did you mean 'resource.kind'?)",
		`resource == "a"`:                 "line 1, column 1: undeclared reference to 'resource'",
		`type == 1`:                       "line 1, column 6: found no matching overload",
		`type`:                            "is a string; must be a boolean, such as data.paid == true",
		`data.paid`:                       "is of a type that only the data decides; must be a boolean, such as data.paid == true",
		`now() == now()`:                  "undeclared reference to 'now'",
		`type.matches("(")`:               "line 1, column 14: invalid matches argument",
		`type.matches(data.secret)`:       "line 1, column 18: the pattern of matches must be a text in quotes",
		`matches(type, channel)`:          "line 1, column 15: the pattern of matches must be a text in quotes",
		`type.matches("a{65}")`:           "regex program size",
		`timestamp(0).getHours("CET")==1`: "getHours takes no time zone: times are in UTC",
		strings.Repeat("(", 40) + "true" + strings.Repeat(")", 40): "recursion limit",
		strings.Repeat("a(", 900):                                  "recursion limit",
		`"` + strings.Repeat("a", maxLength) + `" == type`:         "size",
		"[" + strings.Repeat("0,", 1000) + "0] == data":            "",
	} {
		t.Run(expr, func(t *testing.T) {
			t.Parallel()
			err := Check(expr)
			if want == "" {
				require.NoError(t, err)
				return
			}
			var refused *Error
			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestMatches_AFailureSaysWhereAndTellsNoValue(t *testing.T) {
	t.Parallel()

	for expr, want := range map[string]string{
		`data.refund > 1`:                          "line 1, column 5: no such key",
		`data.nested.zz.b == "c"`:                  "line 1, column 15: no such key",
		`data[data.secret] == 1`:                   "line 1, column 5: no such key",
		`attributes.colour == "red"`:               "line 1, column 11: no such key",
		`attributes[data.secret] == "red"`:         "line 1, column 11: no such key",
		`type == "order.paid" && data.total > "a"`: "line 1, column 36: no such overload",
		`int(data.secret) == 1`:                    "line 1, column 4: type conversion error",
		`timestamp(data.secret) < timestamp(0)`:    "line 1, column 10: the evaluation failed",
		`data.total / data.zero == 1`:              "line 1, column 12: division by zero",
		`data.total % data.zero == 1`:              "line 1, column 12: modulus by zero",
		`data.list[7] == 1`:                        "line 1, column 10: index out of bounds",
		`data.rate * 2 == 3`:                       "line 1, column 11: no such overload",
		`data.secret.x == 1`:                       "line 1, column 12: no such key",
		`data.total.matches("1")`:                  "line 1, column 19: no such overload",
		`data.big * data.big == 1`:                 "line 1, column 10: integer overflow",
		`data.?refund.value() == 1`:                "optional.none() dereference",
	} {
		t.Run(expr, func(t *testing.T) {
			t.Parallel()
			p, err := Compile(expr, nil)
			require.NoError(t, err)
			matches, err := p.Matches(t.Context(), order())
			require.False(t, matches)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestMatches_WhatIsNotThereIsEmptyOrNull(t *testing.T) {
	t.Parallel()

	p, err := Compile(`data == null && active_site == "" && channel == "" && actor == "" && size(attributes) == 0`, nil)
	require.NoError(t, err)
	for _, data := range []string{"", "null"} {
		matches, err := p.Matches(t.Context(), &Event{Type: "order.paid", Data: []byte(data)})
		require.NoError(t, err)
		require.True(t, matches)
	}
}

func TestMatches_ReadsDataOnceAndOnlyWhenItIsLookedAt(t *testing.T) {
	t.Parallel()

	byType, err := Compile(`type == "order.paid" || data.total > 1`, nil)
	require.NoError(t, err)
	byData, err := Compile(`data.total > 1`, nil)
	require.NoError(t, err)
	ev := order()

	matches, err := byType.Matches(t.Context(), ev)
	require.NoError(t, err)
	require.True(t, matches)
	require.Nil(t, ev.parsed)

	_, err = byData.Matches(t.Context(), ev)
	require.NoError(t, err)
	ev.Data = nil
	matches, err = byData.Matches(t.Context(), ev)
	require.NoError(t, err)
	require.True(t, matches)
}

func TestMatches_DataThatIsTooLargeOrNoJSONFailsOnlyWhoLooksAtIt(t *testing.T) {
	t.Parallel()

	for data, want := range map[string]string{
		`"` + strings.Repeat("a", maxData) + `"`: "the data has more than 1048576 bytes",
		`{"total": 1`:                            "the data is not JSON",
	} {
		ev := &Event{Type: "order.paid", Data: []byte(data)}

		p, err := Compile(`type == "order.paid"`, nil)
		require.NoError(t, err)
		matches, err := p.Matches(t.Context(), ev)
		require.NoError(t, err)
		require.True(t, matches)

		p, err = Compile(`data == "a"`, nil)
		require.NoError(t, err)
		_, err = p.Matches(t.Context(), ev)
		require.ErrorContains(t, err, want)
	}
}

// lateContext ends after it was first asked.
type lateContext struct {
	context.Context //nolint:containedctx // it stands for one

	asked int
}

func (c *lateContext) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (c *lateContext) Err() error {
	c.asked++
	if c.asked == 1 {
		return nil
	}
	return context.Canceled
}

func TestMatches_EndsWithItsContext(t *testing.T) {
	t.Parallel()

	numbers, err := json.Marshal(make([]int, 1000))
	require.NoError(t, err)
	ev := &Event{Data: numbers}
	p, err := Compile(`data.exists(n, n == 1)`, nil)
	require.NoError(t, err)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Matches(ended, ev)
	require.ErrorIs(t, err, context.Canceled)

	_, err = p.Matches(&lateContext{Context: t.Context()}, ev)
	require.ErrorIs(t, err, context.Canceled)

	matches, err := p.Matches(t.Context(), ev)
	require.NoError(t, err)
	require.False(t, matches)
}

func TestMatches_APanicOfTheInterpreterIsAnError(t *testing.T) {
	t.Parallel()

	_, err := new(Program).Matches(t.Context(), order())
	require.EqualError(t, err, "the interpreter panicked")
}

func TestOpts_OutsideTheirRangeAreRefused(t *testing.T) {
	t.Parallel()

	for _, cost := range []int{-1, 100_001} {
		_, err := Compile(`true`, &Opts{MaxCost: cost})
		require.ErrorContains(t, err, "MaxCost")
	}
	_, err := Compile(`true`, &Opts{MaxCost: 100_000})
	require.NoError(t, err)
}
