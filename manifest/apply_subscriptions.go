package manifest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

func (r *application) applySubscriptions(ctx context.Context) error {
	rows, err := r.queries().LockManifestSubscriptions(ctx, r.m.name)
	if err != nil {
		return err
	}
	there := map[string]store.LockManifestSubscriptionsRow{}
	for _, row := range rows {
		there[row.ManifestKey] = row
	}
	for i := range r.m.subscriptions {
		s := &r.m.subscriptions[i]
		var c *Change
		if row, ok := there[s.key]; ok {
			delete(there, s.key)
			c, err = r.keep(ctx, s, row)
		} else {
			c, err = r.create(ctx, s)
		}
		switch {
		case err == nil:
			r.add(*c)
		default:
			if err := r.refused(s.field, err); err != nil {
				return err
			}
		}
	}
	return r.deactivate(ctx, rows, there)
}

func (r *application) create(ctx context.Context, s *subscriptionEntry) (*Change, error) {
	created, err := r.subs.In(r.tx).Create(ctx, s.spec)
	if err != nil {
		return nil, err
	}
	err = r.queries().SetManifestKey(ctx, &store.SetManifestKeyParams{
		ID:          created.ID,
		Manifest:    r.m.name,
		ManifestKey: s.key,
	})
	return &Change{
		Action: ActionAdded,
		Kind:   kindSubscription,
		Key:    s.key,
		ID:     created.ID,
	}, err
}

// keep changes a subscription to what the file says. It reactivates those alone that
// were deactivated because the file did not have them.
func (r *application) keep(ctx context.Context, s *subscriptionEntry, row store.LockManifestSubscriptionsRow) (*Change, error) {
	c := &Change{
		Action: ActionUnchanged,
		Kind:   kindSubscription,
		Key:    s.key,
		ID:     row.ID,
	}
	u, err := r.subs.In(r.tx).Diff(ctx, row.ID, s.spec)
	if err != nil {
		return nil, err
	}
	c.Fields = given(u)
	rotated, err := r.change(ctx, row.ID, s.spec, u)
	if err != nil {
		return nil, err
	}
	if rotated {
		c.Fields = append(c.Fields, "secret")
		slices.Sort(c.Fields)
	}
	if len(c.Fields) > 0 {
		c.Action = ActionChanged
	}
	return c, r.reactivate(ctx, s, row, c)
}

// change updates a subscription and gives it the secret of the file. The secret is given
// first where the dialect of the file cannot sign with the former one. It says whether the
// secret is another.
func (r *application) change(
	ctx context.Context, id uuid.UUID, spec subscription.Spec, u subscription.Update,
) (bool, error) {
	rotated := false
	if len(given(u)) > 0 {
		_, err := r.subs.In(r.tx).Update(ctx, id, u)
		var invalid *subscription.InvalidError
		if errors.As(err, &invalid) && invalid.Field == "Dialect" {
			var refused error
			if rotated, refused = r.rotate(ctx, id, spec); refused != nil || !rotated {
				return false, err
			}
			_, err = r.subs.In(r.tx).Update(ctx, id, u)
		}
		if err != nil || rotated {
			return rotated, err
		}
	}
	return r.rotate(ctx, id, spec)
}

func (r *application) reactivate(ctx context.Context, s *subscriptionEntry, row store.LockManifestSubscriptionsRow, c *Change) error {
	switch {
	case row.State == string(subscription.StateDeactivated) && row.StateReason == r.reason():
		c.Action = ActionReactivated
		if _, err := r.subs.In(r.tx).Activate(ctx, row.ID, nil); err != nil {
			return err
		}
		if s.spec.Paused {
			_, err := r.subs.In(r.tx).Pause(ctx, row.ID)
			return err
		}
	case row.State == string(subscription.StateDeactivated):
		c.Note = "stays deactivated: " + row.StateReason
	case row.State != string(subscription.StateActive):
		c.Note = "is " + row.State
	}
	return nil
}

// rotate gives a subscription the secret of the file, unless it is the newest, or a
// new one where the file wants another kind. It says whether it did.
func (r *application) rotate(ctx context.Context, id uuid.UUID, spec subscription.Spec) (bool, error) {
	same, err := r.sameSecret(ctx, id, spec)
	if err != nil || same {
		return false, err
	}
	_, err = r.subs.In(r.tx).RotateSecret(ctx, id, &subscription.RotateOpts{Secret: spec.Secret, SecretKind: spec.SecretKind})
	return true, err
}

func (r *application) sameSecret(ctx context.Context, id uuid.UUID, spec subscription.Spec) (bool, error) {
	if !spec.Secret.IsZero() {
		secrets, err := r.subs.In(r.tx).Secrets(ctx, id)
		if err != nil {
			return false, err
		}
		return subtle.ConstantTimeCompare([]byte(secrets[0].Reveal()), []byte(spec.Secret.Reveal())) == 1, nil
	}
	if spec.SecretKind == "" {
		return true, nil
	}
	infos, err := r.subs.In(r.tx).ListSecrets(ctx, id)
	newest := slices.IndexFunc(infos, func(info subscription.SecretInfo) bool { return !info.Pending })
	return newest >= 0 && infos[newest].Kind == spec.SecretKind, err
}

// deactivate stops those that the file does not have any more.
func (r *application) deactivate(
	ctx context.Context, rows []store.LockManifestSubscriptionsRow, gone map[string]store.LockManifestSubscriptionsRow,
) error {
	for _, row := range rows {
		if _, ok := gone[row.ManifestKey]; !ok {
			continue
		}
		stopped, err := r.subs.In(r.tx).Deactivate(ctx, row.ID, r.reason())
		if err != nil {
			return err
		}
		if stopped {
			r.add(Change{
				Action: ActionDeactivated,
				Kind:   kindSubscription,
				Key:    row.ManifestKey,
				ID:     row.ID,
			})
		}
	}
	return nil
}

// reason is by what a deactivation is known to be ours.
func (r *application) reason() string { return fmt.Sprintf("removed from manifest %q", r.m.name) }

// given are the names of the fields that an update has, as a file calls them.
func given(u subscription.Update) []string {
	var names []string
	v := reflect.ValueOf(u)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			names = append(names, snake(v.Type().Field(i).Name))
		}
	}
	slices.Sort(names)
	return names
}
