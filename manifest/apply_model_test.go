package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/subscription"
)

// kept is what the model knows of a subscription.
type kept struct {
	name   string
	reason string // of a deactivation
	state  subscription.State
}

// model is what should be in the database, by key.
type model map[string]*kept

// apply is what a manifest should do: names by key.
func (m model) apply(file map[string]string) map[string]Action {
	did := map[string]Action{}
	for key, name := range file {
		k, ok := m[key]
		switch {
		case !ok:
			m[key] = &kept{name: name, state: subscription.StateActive}
			did[key] = ActionAdded
			continue
		case k.reason == "manifest":
			k.state, k.reason = subscription.StateActive, ""
			did[key] = ActionReactivated
		case k.name != name:
			did[key] = ActionChanged
		default:
			did[key] = ActionUnchanged
		}
		k.name = name
	}
	for key, k := range m {
		if _, ok := file[key]; !ok && k.state != subscription.StateDeactivated {
			k.state, k.reason = subscription.StateDeactivated, "manifest"
			did[key] = ActionDeactivated
		}
	}
	return did
}

// Whatever manifests are applied one after another, and whatever is done by hand
// between them, plan and database are as the model says, and a second time changes
// nothing.
func TestApply_SequencesOfManifestsFollowTheModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m, manifest := model{}, fmt.Sprintf("run-%d", runs)
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			file := rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{"x", "y"}), 0, 3).Draw(rt, "file")
			var text strings.Builder
			fmt.Fprintf(&text, "name: %s\nsubscriptions:\n  {", manifest)
			for key, name := range file {
				fmt.Fprintf(&text, "%s: {name: %s, operator: true, url: 'https://a.example/', events: ['**'], site: /%s},", key, name, manifest)
			}
			text.WriteString("}\n")
			want := m.apply(file)
			plan := b.apply(text.String(), nil)
			did := map[string]Action{}
			for _, c := range plan.Changes {
				did[c.Key] = c.Action
			}
			require.Equal(rt, want, did)
			require.False(rt, b.apply(text.String(), nil).Changed())
			b.byHand(rt, m, manifest)
		}
	})
}

// byHand requires what the model has, and changes one of the subscriptions.
func (b *bundle) byHand(rt *rapid.T, m model, manifest string) {
	for key, k := range m {
		sub := b.subscription(manifest, key)
		reason := strings.Replace(sub.StateReason, fmt.Sprintf("removed from manifest %q", manifest), "manifest", 1)
		have := kept{
			name:   sub.Name,
			reason: reason,
			state:  sub.State,
		}
		require.Equal(rt, *k, have)
	}
	key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key")
	k, ok := m[key]
	if !ok {
		return
	}
	ctx, id := b.t.Context(), b.subscription(manifest, key).ID
	var err error
	switch rapid.SampledFrom([]string{"nothing", "activate", "deactivate", "delete", "pause", "rename"}).Draw(rt, "hand") {
	case "activate":
		_, err = b.subs.Activate(ctx, id, nil)
		k.state, k.reason = subscription.StateActive, ""
	case "deactivate":
		if _, err = b.subs.Deactivate(ctx, id, "hand"); k.state != subscription.StateDeactivated {
			k.state, k.reason = subscription.StateDeactivated, "hand"
		}
	case "delete":
		err = b.subs.Delete(ctx, id)
		delete(m, key)
	case "pause":
		if k.state == subscription.StateActive {
			_, err = b.subs.Pause(ctx, id)
			k.state = subscription.StatePaused
		}
	case "rename":
		_, err = b.subs.Update(ctx, id, subscription.Update{Name: new("z")})
		k.name = "z"
	}
	require.NoError(rt, err)
}
