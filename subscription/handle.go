package subscription

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/txn"
)

// Handle is a store of subscriptions in the hands of the application or of one principal.
// The application has that of its [Store], which may do everything. [Store.As] returns that
// of a principal: each method first asks an [access.Authorizer] whether the principal may do
// that. It is what an application's handlers for its users work with. A Handle is safe for
// concurrent use and costs nothing to make.
//
// These are the rights that a principal needs:
//
//   - [access.VerbView]: Get, GetMany, List and ListSecrets.
//   - [access.VerbCreate]: Create; and Update, if what an [access.Action] says of the
//     subscription becomes other.
//   - [access.VerbChange]: Activate, Deactivate, Pause and Update.
//   - [access.VerbDelete]: Delete.
//   - [access.VerbSecret]: ConfirmSecret, RevokeSecret, RotateSecret and Secrets.
//   - Do needs the right that it is called with.
//
// What the principal may not view does not exist for it: [ErrNotFound]. What it
// may view and not change is an [access.ErrDenied]. Any other answer of the
// authorizer is returned as it is, and nothing was done.
//
// The authorizer is asked while no connection of Riverhook is held. The change is then made
// only if the subscription still is what was asked about; otherwise the authorizer is asked
// again. It is also asked again if the path of the site names another site by then, which is
// seen if the tree of the store is a [hierarchy.Sites]. A right is therefore that of the
// moment before the change, and never one over what the subscription was earlier. In a
// transaction of the caller's ([Handle.In]) the authorizer is asked while that is open,
// before anything is locked for it.
type Handle struct {
	by    *authority // nil: the application
	box   *sealed.Box
	cfg   Config
	scope txn.Scope
}

// As returns the store in the hands of a principal, as auth allows. A nil auth
// and the principal "" are denied everything.
func (s *Store) As(principal string, auth access.Authorizer) *Handle {
	h := s.Handle
	h.by = &authority{principal: principal, auth: auth}
	return &h
}

// In returns the same handle in a transaction of the caller's, until that ends. What its
// methods change is visible to others after the commit, and a rollback undoes it. An error
// of this package's own leaves the transaction usable. A method that asks the Sealer, a tree
// or an authorizer of the application does so while the transaction is open.
//
// Two transactions that create several subscriptions each, for the same owners or at the
// same sites in another order, can deadlock. Under a stricter isolation than READ COMMITTED
// a change that was overtaken by another one fails with SQLSTATE 40001. Run the transaction
// again in both cases.
func (h *Handle) In(tx pgx.Tx) *Handle {
	in := *h
	in.scope = h.scope.In(tx)
	return &in
}

// InSQL is In for a transaction of database/sql, or of a library built on it. Its session has
// the usual DateStyle (ISO) and bytea_output (hex), which In does not need.
func (h *Handle) InSQL(tx hierarchy.Querier) *Handle {
	in := *h
	in.scope = h.scope.InSQL(tx)
	return &in
}

// Create checks the specification and stores it as a new subscription, with its
// secret, sealed. Created.Secret shows it, and nothing but Secrets does again. An
// [*InvalidError] names the first field that is refused, a
// [*LimitError] the limit that is reached. Those who create for the same owner or
// at the same site wait for one another until their transactions end.
func (h *Handle) Create(ctx context.Context, spec Spec) (*Created, error) {
	const action = "create subscription"
	n, err := h.cfg.prepare(spec) // what it leaves out has its default when the authorizer is asked
	if err != nil {
		return nil, failed(action, err)
	}
	for range maxAsked {
		place, err := h.mayCreate(ctx, &n.sub)
		if err == nil && n.sealed == nil {
			err = h.sealNew(ctx, n)
		}
		if err != nil {
			return nil, failed(action, err)
		}
		created, err := run(ctx, h, action, func(tx pgx.Tx) (*Created, error) {
			if err := h.checkStanding(ctx, tx, place); err != nil {
				return nil, err
			}
			return h.insert(ctx, tx, n)
		})
		if !errors.Is(err, errHasChanged) {
			return created, err
		}
	}
	return nil, failed(action, errHasChanged)
}

// Get returns a subscription, or [ErrNotFound].
func (h *Handle) Get(ctx context.Context, id uuid.UUID) (*Subscription, error) {
	sub, err := h.fetch(ctx, h.db(), id)
	if err == nil {
		err = h.allowed(ctx, sub, access.VerbView, nil)
	}
	return outcome("get subscription", sub, err)
}

// GetMany returns the subscriptions that have one of the ids, in the order of
// their ids, deleted ones included until they are forgotten (delivery.HistoryRules.MaxAge).
// Other ids are left out, and so are those that a principal may not view.
func (h *Handle) GetMany(ctx context.Context, ids []uuid.UUID) ([]Subscription, error) {
	subs, err := h.getMany(ctx, ids)
	if err == nil {
		subs, err = h.visible(ctx, subs)
	}
	return outcome("get subscriptions", subs, err)
}

// List returns a page of subscriptions, newest first. nil lists all. Page by page, each
// subscription that was there at the first page and still is there is returned once.
//
// For a principal it asks about each that the options leave, until the page is full of those
// that it may view: whoever lists its own gives ListOpts.Owner.
func (h *Handle) List(ctx context.Context, opts *ListOpts) (*Page, error) {
	page, err := h.list(ctx, opts)
	return outcome("list subscriptions", page, err)
}

// Update changes fields of a subscription and returns it as it is now. Only the
// fields that are given are checked; a site that is full is an [ErrLimit]. Another dialect
// must be able to sign with the newest secret.
// Deliveries that are pending go out by the new values. Another URL begins with a
// record of its own: neither an open circuit nor failures of the former one count
// for it. A wait that the endpoint has asked for stays if scheme, host and port do.
func (h *Handle) Update(ctx context.Context, id uuid.UUID, u Update) (*Subscription, error) {
	const action = "update subscription"
	if err := h.cfg.checkUpdate(&u); err != nil {
		return nil, failed(action, err)
	}
	var p *preparedUpdate
	return act(ctx, h, deed[*Subscription]{
		name:    action,
		id:      id,
		verb:    access.VerbChange,
		becomes: u.apply,
		site:    u.Site,
		prepare: func() (err error) {
			p, err = h.prepareUpdate(ctx, h.db(), id, u)
			return err
		},
		do: func(tx pgx.Tx) (*Subscription, error) { return h.update(ctx, tx, id, u, p) },
	})
}

// Activate makes a subscription active again, after a pause or a deactivation,
// and says whether it was not. Deliveries that were held go out in their order;
// those that were cancelled by a deactivation stay so. What counts towards an
// automatic deactivation is counted from now on. It closes a circuit that failures
// have opened, also of a subscription that is active already, of which nothing else
// changes; a wait that the endpoint has asked for stays. A subscription at a former
// path, or whose site was deleted, is refused ([ErrInvalid], field
// Site): update its site first.
//
// One whose URL must be proven and was not becomes StatePendingVerification instead,
// and its endpoint is asked; so it is false for one that is in that state.
// Nil opts are the defaults.
func (h *Handle) Activate(ctx context.Context, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	return act(ctx, h, deed[bool]{
		name: "activate subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return h.activate(ctx, tx, id, opts) },
	})
}

// Deactivate stops a subscription and says whether it was not stopped already,
// in which case the first reason stays. Its pending deliveries end cancelled and
// its epoch grows by one. The reason, up to 1024 characters, is shown wherever
// the subscription is.
func (h *Handle) Deactivate(ctx context.Context, id uuid.UUID, reason string) (bool, error) {
	return act(ctx, h, deed[bool]{
		name: "deactivate subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return h.deactivate(ctx, tx, id, reason) },
	})
}

// Pause holds deliveries back, new ones included, and says whether the
// subscription was not paused. A deactivated one is refused with [ErrDeactivated].
// One whose URL was not proven is asked for its proof only when it is activated.
func (h *Handle) Pause(ctx context.Context, id uuid.UUID) (bool, error) {
	return act(ctx, h, deed[bool]{
		name: "pause subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return h.pause(ctx, tx, id) },
	})
}

// Delete deletes a subscription, and its secrets for good. What it was sent
// stays in the history. Its pending deliveries end cancelled. A second time is
// an [ErrNotFound].
func (h *Handle) Delete(ctx context.Context, id uuid.UUID) error {
	return h.do(ctx, deed[struct{}]{
		name: "delete subscription",
		id:   id,
		verb: access.VerbDelete,
		do:   func(tx pgx.Tx) (struct{}, error) { return struct{}{}, h.remove(ctx, tx, id) },
	})
}

// ListSecrets returns what is known of the secrets of a subscription that have not
// expired, newest first, without the secrets themselves. They are never none.
func (h *Handle) ListSecrets(ctx context.Context, id uuid.UUID) ([]SecretInfo, error) {
	const action = "list secrets"
	if err := h.mayView(ctx, id); err != nil {
		return nil, failed(action, err)
	}
	infos, err := h.secretInfos(ctx, h.db(), id)
	return outcome(action, infos, err)
}

// Secrets returns the secrets that requests are signed with now, newest first: the
// one call that shows a secret which was shown before. An application that shows
// secrets once never calls it, and gives a user who has lost one a new one with
// RotateSecret; it is there for the operator who moves subscriptions elsewhere.
func (h *Handle) Secrets(ctx context.Context, id uuid.UUID) ([]Secret, error) {
	const action = "read secrets"
	if h.by == nil {
		secrets, err := h.secrets(ctx, h.db(), id)
		return outcome(action, secrets, err)
	}
	var secrets []Secret // are opened before a connection is taken, and shown if nothing has changed
	return act(ctx, h, deed[[]Secret]{
		name: action,
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			secrets, err = h.secrets(ctx, h.db(), id)
			return err
		},
		do: func(pgx.Tx) ([]Secret, error) { return secrets, nil },
	})
}

// RotateSecret gives a subscription a new secret and returns it, which nothing
// but Secrets does again. Until the overlap is over requests carry a signature of
// each secret, newest first. At most 10 are kept; the oldest go first.
func (h *Handle) RotateSecret(ctx context.Context, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	var r *rotation
	return act(ctx, h, deed[Secret]{
		name: "rotate secret",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			r, err = h.prepareRotation(ctx, h.db(), id, opts)
			return err
		},
		do: func(tx pgx.Tx) (Secret, error) { return h.rotate(ctx, tx, id, r) },
	})
}

// ConfirmSecret lets a secret that waits for its confirmation sign from now on, by
// its id of ListSecrets: the receiver is known to have it. The overlap of the
// others begins. It is [ErrNotFound] when that secret does not wait any more.
func (h *Handle) ConfirmSecret(ctx context.Context, id, secret uuid.UUID) error {
	return h.do(ctx, deed[struct{}]{
		name: "confirm secret",
		id:   id,
		verb: access.VerbSecret,
		do:   func(tx pgx.Tx) (struct{}, error) { return struct{}{}, h.confirm(ctx, tx, id, secret) },
	})
}

// RevokeSecret deletes a secret for good, by its id of ListSecrets: nothing more
// is signed with it. When it was the newest, the one before it lasts from then on.
// The last one that signs is refused with [ErrLastSecret], and so is the newest where the
// subscription's dialect cannot sign with the one before it: give the subscription a
// new one with RotateOpts.Immediate.
func (h *Handle) RevokeSecret(ctx context.Context, id, secret uuid.UUID) error {
	var r *revocation
	return h.do(ctx, deed[struct{}]{
		name: "revoke secret",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			r, err = h.prepareRevocation(ctx, h.db(), id, secret)
			return err
		},
		do: func(tx pgx.Tx) (struct{}, error) { return struct{}{}, h.revoke(ctx, tx, id, r) },
	})
}

// Do runs change in the handle's transaction, or in one of its own that it commits if there
// is no error, if the principal may do this with the subscription. Until the end of the
// transaction the subscription stays as it was when the authorizer was asked. It is for what
// an application changes together with a subscription, or by its right.
func (h *Handle) Do(ctx context.Context, id uuid.UUID, verb access.Verb, change func(tx pgx.Tx) error) error {
	return h.do(ctx, deed[struct{}]{
		name: "act on subscription",
		id:   id,
		verb: verb,
		do:   func(tx pgx.Tx) (struct{}, error) { return struct{}{}, h.locked(ctx, tx, id, change) },
	})
}
