package filter

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// term is an expression beside what it must be.
type term struct {
	expr  string
	value bool
}

// terms are random expressions about an event: comparisons of what it has,
// joined by and, or and not.
func terms(t *rapid.T, ev *Event, data map[string]any, depth int) term {
	text := rapid.SampledFrom([]string{"", "a", "a.b", "B", `"`, "ü", `\`})
	if depth > 0 && rapid.Bool().Draw(t, "joined") {
		x, y := terms(t, ev, data, depth-1), terms(t, ev, data, depth-1)
		switch rapid.IntRange(0, 2).Draw(t, "operator") {
		case 0:
			return term{fmt.Sprintf("(%s) && (%s)", x.expr, y.expr), x.value && y.value}
		case 1:
			return term{fmt.Sprintf("(%s) || (%s)", x.expr, y.expr), x.value || y.value}
		default:
			return term{fmt.Sprintf("!(%s)", x.expr), !x.value}
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "about") {
	case 0:
		fields := map[string]string{
			"active_site": ev.ActiveSite, "actor": ev.Actor, "channel": ev.Channel, "resource.id": ev.ResourceID,
			"resource.kind": ev.ResourceKind, "site": ev.Site, "type": ev.Type, "attributes.k": ev.Attributes["k"],
		}
		name := rapid.SampledFrom([]string{
			"active_site", "actor", "channel", "resource.id", "resource.kind", "site", "type", "attributes.k",
		}).Draw(t, "field")
		want := text.Draw(t, "text")
		return term{name + " == " + strconv.Quote(want), fields[name] == want}
	case 1:
		n := rapid.Int64Range(-3, 3).Draw(t, "n")
		return term{fmt.Sprintf("data.n > %d", n), data["n"].(int64) > n}
	case 2:
		n := float64(rapid.IntRange(-6, 6).Draw(t, "half")) / 2
		return term{fmt.Sprintf("data.n <= %.1f", n), float64(data["n"].(int64)) <= n}
	default:
		n := rapid.Int64Range(-3, 3).Draw(t, "n")
		found := false
		for _, m := range data["list"].([]int64) {
			found = found || m == n
		}
		return term{fmt.Sprintf("data.list.exists(m, m == %d)", n), found}
	}
}

func TestMatches_ExpressionsAreWhatTheirModelIs(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "a", "a.b", "B", `"`, "ü", `\`})
		data := map[string]any{
			"n": rapid.Int64Range(-3, 3).Draw(t, "n"), "list": rapid.SliceOfN(rapid.Int64Range(-3, 3), 0, 4).Draw(t, "list"),
		}
		raw, err := json.Marshal(data)
		require.NoError(t, err)
		ev := &Event{
			ActiveSite:   text.Draw(t, "active site"),
			Actor:        text.Draw(t, "actor"),
			Channel:      text.Draw(t, "channel"),
			ResourceID:   text.Draw(t, "id"),
			ResourceKind: text.Draw(t, "kind"),
			Site:         text.Draw(t, "site"),
			Type:         text.Draw(t, "type"),
			Attributes:   map[string]string{"k": text.Draw(t, "attribute")},
			Data:         raw,
		}
		want := terms(t, ev, data, 3)
		p, err := Compile(want.expr, nil)
		require.NoError(t, err)
		got, err := p.Matches(t.Context(), ev)
		require.NoError(t, err)
		require.Equal(t, want.value, got, want.expr)
	})
}
