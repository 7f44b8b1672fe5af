package expand

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// maxCommit bounds the chunks that one statement commits.
	maxCommit = 300

	// largeCommit is how many bytes the messages of a chunk have that is committed alone:
	// a statement is in memory several times while it is sent.
	largeCommit = 64 << 10
)

// CommitterConfig is what a Committer needs.
type CommitterConfig struct {
	Batch  batch.Config
	DB     *pgxpool.Pool
	NewID  func() uuid.UUID // of deliveries
	Schema string
}

// Committer commits chunks. Those that are committed at the same time share a statement.
// It is safe for concurrent use.
type Committer struct {
	cfg      CommitterConfig
	frequent *store.Queries // with plans that are kept
	group    *batch.Group[*Chunk, committed]
	large    *batch.Group[*Chunk, committed]
}

// committed is what came of the commit of a chunk.
type committed struct {
	Made  []store.CommitExpansionsRow // deliveries to attempt
	Stale bool                        // its sites have changed: nothing was written
}

// NewCommitter commits until Close.
func NewCommitter(cfg *CommitterConfig) *Committer {
	c := &Committer{cfg: *cfg, frequent: store.Frequent(cfg.DB, cfg.Schema)}
	c.cfg.Batch.MaxSize = maxCommit
	c.group = batch.New(c.cfg.Batch, c.commitAll)
	c.cfg.Batch.MaxSize = 1
	c.large = batch.New(c.cfg.Batch, c.commitAll)
	return c
}

// Close ends committing.
func (c *Committer) Close() {
	c.group.Close()
	c.large.Close()
}

// commit commits a chunk of a share, unless the [hierarchy.Sites] have changed since they were
// read.
func (c *Committer) commit(ctx context.Context, share string, ch *Chunk) (committed, error) {
	c.name(ch)
	if bytesOf(ch.Messages) > largeCommit {
		return c.large.DoOf(ctx, share, ch)
	}
	return c.group.DoOf(ctx, share, ch)
}

// commitAll is the flush of the batch of commits.
func (c *Committer) commitAll(ctx context.Context, chunks []*Chunk) ([]committed, error) {
	p := &store.CommitExpansionsParams{}
	owners := map[uuid.UUID]int{} // the chunk of an intent or of a delivery
	counts := false
	outs := make([]committed, len(chunks))
	for i, ch := range chunks {
		owners[ch.Intent.ID] = i
		if err := ch.AddTo(p); err != nil {
			return nil, err
		}
		for n := range ch.Decisions {
			d := &ch.Decisions[n]
			if d.Outcome == decide.OutcomeDeliver {
				owners[d.DeliveryID] = i
			}
			counts = counts || d.OwnerUnknown
		}
	}
	commit := func(q *store.Queries) error {
		rows, err := q.CommitExpansions(ctx, p)
		if err != nil {
			return fmt.Errorf("delivery: commit expansions: %w", err)
		}
		for _, row := range rows {
			out := &outs[owners[row.ID]]
			if row.Stale {
				out.Stale = true
			} else {
				out.Made = append(out.Made, row)
			}
		}
		health := record.Health{}
		for i, ch := range chunks {
			if !outs[i].Stale {
				ch.CountUnresolvable(health)
			}
		}
		_, err = health.Write(ctx, q)
		return err
	}
	if !counts {
		return outs, commit(c.frequent)
	}
	return outs, store.InTx(ctx, c.cfg.DB, c.cfg.Schema, commit)
}

// commitAgain commits decisions that have waited, and returns the deliveries to attempt.
func (c *Committer) commitAgain(ctx context.Context, ch *Chunk) (made []store.CommitExpansionsRow, err error) {
	c.name(ch)
	p := &store.CommitExpansionsParams{}
	if err := ch.AddTo(p); err != nil {
		return nil, err
	}
	err = store.InTx(ctx, c.cfg.DB, c.cfg.Schema, func(q *store.Queries) error {
		rows, err := q.CommitRedecisions(ctx, &store.CommitRedecisionsParams{
			IntentID:              ch.Intent.ID,
			JobID:                 ch.JobID,
			DecisionSubscriptions: p.DecisionSubscriptions,
			DecisionOutcomes:      p.DecisionOutcomes,
			DecisionReasons:       p.DecisionReasons,
			DecisionTries:         p.DecisionTries,
			DecisionCauses:        p.DecisionCauses,
			MessageDialects:       p.MessageDialects,
			MessageTypes:          p.MessageTypes,
			MessageHeaders:        p.MessageHeaders,
			MessageBodies:         p.MessageBodies,
			DeliveryIds:           p.DeliveryIds,
			DeliverySubscriptions: p.DeliverySubscriptions,
			DeliveryDialects:      p.DeliveryDialects,
			DeliverySites:         p.DeliverySites,
			DeliveryPatterns:      p.DeliveryPatterns,
			DeliveryEpochs:        p.DeliveryEpochs,
			DeliveryAccessMs:      p.DeliveryAccessMs,
			DeliveryHolds:         p.DeliveryHolds,
		})
		if err != nil {
			return fmt.Errorf("delivery: commit decisions: %w", err)
		}
		for _, row := range rows {
			made = append(made, store.CommitExpansionsRow{
				ID:            row.ID,
				Secrets:       row.Secrets,
				CircuitOpened: row.CircuitOpened,
				Gone:          row.Gone,
				Failing:       row.Failing,
			})
		}
		health := record.Health{}
		ch.CountUnresolvable(health)
		_, err = health.Write(ctx, q)
		return err
	})
	return made, err
}

// name gives an id to each delivery that a chunk decides.
func (c *Committer) name(ch *Chunk) {
	for i := range ch.Decisions {
		if d := &ch.Decisions[i]; d.Outcome == decide.OutcomeDeliver {
			d.DeliveryID = c.cfg.NewID()
		}
	}
}
