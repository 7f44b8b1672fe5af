package delivery

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

// IntentState is where the expansion of an intent stands.
type IntentState = expand.IntentState

// The states of an intent.
const (
	IntentCancelled IntentState = expand.IntentCancelled // its River job was cancelled; Engine.RetryFailed takes it up
	IntentExpanded  IntentState = expand.IntentExpanded  // it is decided for each subscription what becomes of it
	IntentFailed    IntentState = expand.IntentFailed    // given up with a reason; Engine.RetryFailed takes it up
	IntentPending   IntentState = expand.IntentPending   // to be expanded, or half way through
)

var intentStates = []IntentState{IntentCancelled, IntentExpanded, IntentFailed, IntentPending}

// PayloadState says whether the data of an intent is there.
type PayloadState string

// What becomes of the data of an intent.
const (
	PayloadDropped PayloadState = "dropped" // as HistoryRules.Payloads says
	PayloadErased  PayloadState = "erased"  // by outbox.Erase, with the attributes
	PayloadHashed  PayloadState = "hashed"  // as HistoryRules.Payloads says
	PayloadKept    PayloadState = "kept"    // it is there
	PayloadPruned  PayloadState = "pruned"  // by its age, with the attributes: only the id is remembered
)

// IntentRecord is an intent as it is stored, and what became of it. One of which a principal
// may be told the ID alone has nothing else, in JSON as well.
type IntentRecord struct {
	ID         string            `json:"id"`           // the wire id: webhook-id
	Key        uuid.UUID         `json:"key,omitzero"` // of the row: the IntentFilter.After of newer ones
	Type       string            `json:"type,omitempty"`
	Site       hierarchy.Path    `json:"site,omitempty"`
	ActiveSite hierarchy.Path    `json:"active_site,omitempty"`
	Channel    string            `json:"channel,omitempty"`
	Actor      string            `json:"actor,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`

	// Share is whose turn its expansion and its later attempts take. See outbox.Intent.
	Share string `json:"share,omitempty"`

	// SchemaVersion is that of the type's schema by which the data was found valid
	// when it was enqueued. 0: none.
	SchemaVersion int `json:"schema_version,omitempty"`

	Data       json.RawMessage `json:"data,omitempty"`        // of Intent only, not in lists
	DataSHA256 string          `json:"data_sha256,omitempty"` // in hex, where only that is kept
	Payload    PayloadState    `json:"payload,omitempty"`
	GoneAt     *time.Time      `json:"gone_at,omitempty"` // when the data went; nil while it is there

	ResourceKind string `json:"resource_kind,omitempty"`
	ResourceID   string `json:"resource_id,omitempty"`

	OccurredAt time.Time   `json:"occurred_at,omitzero"`
	NotBefore  *time.Time  `json:"not_before,omitempty"`
	CreatedAt  time.Time   `json:"created_at,omitzero"`
	State      IntentState `json:"state,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	EndedAt    *time.Time  `json:"ended_at,omitempty"` // when it was expanded, or given up

	treeVersion int64 // of the sites, that its transaction saw
}

// IntentFilter narrows a list of intents. Those fields that are given must all
// hold; the zero value is all of them.
type IntentFilter struct {
	// After is the Key of an intent of which only newer ones are listed.
	After uuid.UUID

	// Channel is the channel, exactly.
	Channel string

	// Cursor is the Next of the page before. Default: the list begins with the newest.
	Cursor string

	// Limit is the most that are returned, up to 1000. Default: 100.
	Limit int

	// ResourceID is the id of the resource. It needs ResourceKind.
	ResourceID string

	// ResourceKind is the kind of the resource.
	ResourceKind string

	// Since is the earliest time at which the intent was written, inclusive.
	Since time.Time

	// Site is the site of the resource, as the intent names it.
	Site hierarchy.Path

	// State is the state of the intent.
	State IntentState

	// Type is an event type or a pattern of them, such as "user.*", or one of
	// questions, such as "before:**".
	Type string

	// Under is a site at or below which the resource is, as the intent names it.
	Under hierarchy.Path

	// Until is the time before which the intent was written.
	Until time.Time
}

// IntentPage is a page of a list of intents.
type IntentPage struct {
	Intents []IntentRecord `json:"intents"`

	// Next is the Cursor of the page that follows; "": this one is the last.
	Next string `json:"next,omitempty"`
}

// params are for one row more than the page may have, which says whether another
// follows. nil is the zero filter.
func (f *IntentFilter) params() (*store.ListIntentsParams, error) { return refusedFilter(f.build()) }

func (f *IntentFilter) build() (*store.ListIntentsParams, error) {
	if f == nil {
		f = &IntentFilter{}
	}
	if f.State != "" && !slices.Contains(intentStates, f.State) {
		return nil, notOneOf("State", f.State, intentStates)
	}
	if f.Type != "" {
		if err := event.CheckPattern(f.Type); err != nil {
			return nil, fmt.Errorf("Type: %w", err)
		}
	}
	before, err := cursor.Intents.ID(f.Cursor)
	if err != nil {
		return nil, fmt.Errorf("Cursor: %w", err)
	}
	b, err := filterBounds{
		f.After, before, f.Channel, f.Type, f.Limit, f.ResourceID, f.ResourceKind, f.Since, f.Site, f.Under, f.Until,
	}.check()
	if err != nil {
		return nil, err
	}
	return &store.ListIntentsParams{
		After:        b.After,
		Before:       b.Before,
		TypeRegex:    b.TypeRegex,
		Channel:      f.Channel,
		Site:         string(f.Site),
		Under:        b.Under,
		ResourceKind: f.ResourceKind,
		ResourceID:   f.ResourceID,
		State:        string(f.State),
		Since:        b.Since,
		Until:        b.Until,
		MaxRows:      b.Limit + 1,
	}, nil
}

// Intents returns a page of intents, newest first, without their data. It pages as
// Deliveries does. nil lists all.
func (h *History) Intents(ctx context.Context, filter *IntentFilter) (*IntentPage, error) {
	params, err := filter.params()
	if err != nil {
		return nil, fmt.Errorf("delivery: list intents: %w", migration.Explain(err))
	}
	found, err := h.intents(ctx, params)
	if err != nil {
		return nil, err
	}
	page := &IntentPage{}
	page.Intents, page.Next = cursor.Page(found, params.MaxRows-1, func(last IntentRecord) string { return cursor.Intents.OfID(last.Key) })
	return page, nil
}

func (v *View) intents(ctx context.Context, params *store.ListIntentsParams) ([]IntentRecord, error) {
	rows, err := store.Filtering(v.pool, v.schema).ListIntents(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("delivery: list intents: %w", migration.Explain(err))
	}
	out := make([]IntentRecord, len(rows))
	for i, row := range rows {
		if out[i], err = newIntentRecord(row); err != nil {
			return nil, fmt.Errorf("delivery: list intents: %w", migration.Explain(err))
		}
	}
	return out, nil
}

// Intent returns one intent with its data, by its wire id, or ErrNotFound.
func (h *History) Intent(ctx context.Context, id string) (*IntentRecord, error) {
	return h.intent(ctx, id)
}

func (v *View) intent(ctx context.Context, id string) (*IntentRecord, error) {
	if id == "" || !isText(id) {
		return nil, fmt.Errorf("delivery: intent %q: %w", id, ErrNotFound)
	}
	found, err := v.intents(ctx, &store.ListIntentsParams{
		WireID:   id,
		Before:   uuid.Max,
		WithData: true,
		MaxRows:  1,
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("delivery: intent %q: %w", id, ErrNotFound)
	}
	return &found[0], nil
}

func newIntentRecord(row store.ListIntentsRow) (IntentRecord, error) {
	r := IntentRecord{
		ID:            row.WireID,
		Key:           row.ID,
		Type:          row.Type,
		Site:          hierarchy.Path(row.Site),
		ActiveSite:    hierarchy.Path(row.ActiveSite),
		Channel:       row.Channel,
		Actor:         row.Actor,
		SchemaVersion: row.SchemaVersion,
		Share:         row.Share,
		Data:          row.Data,
		DataSHA256:    hex.EncodeToString(row.DataSha256),
		Payload:       cmp.Or(PayloadState(row.Gone), PayloadKept),
		GoneAt:        row.GoneAt,
		ResourceKind:  row.ResourceKind,
		ResourceID:    row.ResourceID,
		OccurredAt:    row.OccurredAt,
		NotBefore:     row.NotBefore,
		CreatedAt:     row.CreatedAt,
		State:         IntentState(row.State),
		Reason:        row.Reason,
		EndedAt:       row.EndedAt,
		treeVersion:   row.TreeVersion,
	}
	if err := json.Unmarshal(row.Attributes, &r.Attributes); err != nil {
		return IntentRecord{}, fmt.Errorf("attributes of intent %s: %w", row.WireID, err)
	}
	return r, nil
}
