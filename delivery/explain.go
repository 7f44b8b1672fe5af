package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// maxExplained bounds the subscriptions of an explanation for which
	// something was recorded, and maxExplainedLive the others.
	maxExplained     = 1000
	maxExplainedLive = 100

	// maxExplanations is how often an intent is explained anew because the sites have
	// changed meanwhile.
	maxExplanations = 5
)

// Explain says of every subscription that was considered for an intent whether
// it got the event, and why or why not. id is the wire id; ErrNotFound.
//
// First come the subscriptions for which something was recorded, a delivery or
// another decision, up to 1000. Then, judged now and marked Live, those at the
// sites that count for which nothing was: they listen for other types or
// channels, came later, or are still to be reached; up to 100. Subscriptions at
// other sites were never considered. One that was deleted after the event and before
// the expansion came to it is said to be inactive. All of it is of one moment: a
// subscription that the expansion reaches meanwhile is in one of the two lists. The tree is asked while no connection is
// held; where it fails, what was recorded is still explained.
//
// For a principal there is a line for each subscription whose history it may see, and
// nothing about others, not even that there are any. If nothing was delivered the line has
// the outcome, its class, and of one that waits for a time when the next try is, and nothing about
// the event: what nobody was allowed to be told is not told here either. Unless one of the
// subscriptions has a delivery of the intent, the intent has its id alone. The error is
// ErrNotFound if there is no line, or if all say that the event is not one for their
// subscription. The sites, and the attributes and the hash of the data of the intent, are
// for operators. The authorizer is asked first, for the subscriptions that the event could
// be about.
func (v *View) Explain(ctx context.Context, id string) (*Explanation, error) {
	x, err := v.explainAtOneMoment(ctx, id)
	if err != nil || v.by == nil {
		return x, err
	}
	x.forOwner()
	if len(x.Subscriptions) == 0 {
		return nil, fmt.Errorf("delivery: intent %q: %w", id, ErrNotFound)
	}
	return x, nil
}

// explainAtOneMoment explains an intent anew until the sites did not change meanwhile.
func (v *View) explainAtOneMoment(ctx context.Context, id string) (*Explanation, error) {
	in, err := v.intent(ctx, id)
	if err != nil {
		return nil, err
	}
	in.Data = nil
	at := resolve.Lookup{
		Site:        in.Site,
		ActiveSite:  in.ActiveSite,
		TreeVersion: in.treeVersion,
	}
	for range maxExplanations {
		x, before, err := v.explain(ctx, in, at)
		if err != nil || x.SitesError != "" {
			return x, err
		}
		_, after, err := v.resolver.Sites(ctx, at)
		if err != nil {
			x.SitesError = callbacks.Brief(err)
			return x, nil
		}
		if after.Chain == before.Chain {
			return x, nil
		}
	}
	return nil, fmt.Errorf("delivery: explain: %w", hierarchy.ErrTreeChanges)
}

// explain reads the sites before the subscriptions there; the standing says by which.
func (v *View) explain(
	ctx context.Context, in *IntentRecord, at resolve.Lookup,
) (*Explanation, resolve.Standing, error) {
	x := &Explanation{Intent: *in}
	reached, standing, err := v.resolver.Sites(ctx, at)
	if err != nil {
		if ctx.Err() != nil {
			return nil, standing, fmt.Errorf("delivery: explain: %w", err)
		}
		x.SitesError = callbacks.Brief(err)
	}
	whys := map[hierarchy.Path]string{}
	for _, r := range reached {
		x.Sites = append(x.Sites, ExplainedSite(r))
		whys[r.Site] = r.Why
	}
	only := []string{} // of all
	if v.by != nil {
		if only, err = v.mayExplain(ctx, x); err != nil {
			return nil, standing, fmt.Errorf("delivery: explain: %w", err)
		}
		if len(only) == 0 {
			return x, standing, nil
		}
	}
	err = v.inSnapshot(ctx, func(v *View) error {
		if err := v.readState(ctx, &x.Intent); err != nil {
			return err
		}
		if err := v.explainRecorded(ctx, x, whys, only); err != nil || len(reached) == 0 || x.Truncated {
			return err
		}
		return v.explainOthers(ctx, x, whys, only)
	})
	if err != nil {
		return nil, standing, err
	}
	return x, standing, nil
}

func (v *View) explainRecorded(ctx context.Context, x *Explanation, whys map[hierarchy.Path]string, only []string) error {
	rows, err := v.store.ExplainRecorded(ctx, &store.ExplainRecordedParams{
		IntentID:      x.Intent.Key,
		Subscriptions: only,
		MaxRows:       maxExplained + 1,
	})
	if err != nil {
		return fmt.Errorf("delivery: explain: %w", err)
	}
	if len(rows) > maxExplained {
		rows, x.Truncated = rows[:maxExplained], true
	}
	for _, row := range rows {
		s := Explained{
			SubscriptionID: row.SubscriptionID,
			Name:           row.Name,
			URL:            attempt.PublicURL(row.URL),
			Owner:          row.Owner,
			Site:           hierarchy.Path(row.Site),
			Outcome:        DecisionOutcome(row.Outcome),
			MatchedSite:    hierarchy.Path(row.MatchedSite),
			MatchedPattern: row.MatchedPattern,
			Hold:           Hold(row.Hold),
			Cause:          causeOf(row.Cause),
			Attempts:       row.Attempts,
			reason:         row.Reason,
		}
		if row.DeliveryID != "" {
			delivery, err := uuid.Parse(row.DeliveryID)
			if err != nil {
				return fmt.Errorf("delivery: explain: %w", err)
			}
			s.DeliveryID = &delivery
			if v.by != nil {
				row.Reason, row.Cause = ownersReason(row.Reason, delivery), ""
			}
		}
		if s.Outcome == DecisionWaiting && s.Cause == nil || s.Outcome == DecisionPending && s.Hold == "" {
			s.DueAt = &row.DueAt
		}
		s.Why = whyMatched(row, x.Intent.Channel, whys) + "; " + whySo(row)
		x.Subscriptions = append(x.Subscriptions, s)
	}
	return nil
}

func whyMatched(row store.ExplainRecordedRow, channel string, whys map[hierarchy.Path]string) string {
	where, ok := whys[hierarchy.Path(row.MatchedSite)]
	if !ok {
		where = fmt.Sprintf("at %q, which counted then", row.MatchedSite)
	}
	text := fmt.Sprintf("matched %s by %q", where, row.MatchedPattern)
	if len(row.Channels) > 0 {
		text += fmt.Sprintf(" on channel %q", channel)
	}
	return text
}

// whySo says what became of the match: of a delivery, who let it pass and how far
// it came; of another decision, its reason.
func whySo(row store.ExplainRecordedRow) string {
	if row.DeliveryID == "" {
		text := row.Outcome
		if row.Reason != "" {
			text += ": " + row.Reason
		}
		if row.Attempts > 0 {
			text += fmt.Sprintf(", %s so far", attempt.Plural(row.Attempts, "failed try", "failed tries"))
		}
		switch {
		case row.Cause != "" && row.HeldSince != nil:
			text += ", held for " + row.Cause + " since " + clock(*row.HeldSince)
		case row.Outcome == string(DecisionWaiting):
			text += ", tried again at " + clock(row.DueAt)
		}
		return text
	}
	access := fmt.Sprintf("owner %q may %s the resource", row.Owner, row.Permission)
	if row.Operator {
		access = "an operator's subscription, nobody is asked"
	}
	return fmt.Sprintf("%s; dialect %q; %s", access, row.Dialect, whereItStands(row))
}

func whereItStands(row store.ExplainRecordedRow) string {
	attempts := attempt.Plural(row.Attempts, "attempt", "attempts")
	if row.Attempts > 0 {
		attempts += ", the last " + row.LastOutcome
		if row.LastStatus != 0 {
			attempts += fmt.Sprintf(" (%d)", row.LastStatus)
		}
	}
	text := row.Outcome
	switch {
	case row.LastOutcome == string(OutcomeVetoed):
		text = fmt.Sprintf("vetoed (%d)", row.LastStatus)
	case attempt.State(row.Outcome) == attempt.StateDelivered:
		text += fmt.Sprintf(" at attempt %d (%d)", row.Attempts, row.LastStatus)
	case attempt.State(row.Outcome) != attempt.StatePending:
		text += " after " + attempts
	case row.Cause != "":
		text = "held for " + row.Cause + ", " + attempts
	case row.Hold != "":
		text = "held (" + row.Hold + "), " + attempts
	default:
		text += ", " + attempts + ", due at " + clock(row.DueAt)
	}
	if row.Round > 1 {
		text += fmt.Sprintf(", in round %d", row.Round)
	}
	if row.Reason != "" {
		text += ": " + row.Reason
	}
	return text
}

func (v *View) explainOthers(ctx context.Context, x *Explanation, whys map[hierarchy.Path]string, only []string) error {
	name, isQuestion := strings.CutPrefix(x.Intent.Type, eventtype.BeforePrefix)
	prefix := ""
	if isQuestion {
		prefix = eventtype.BeforePrefix
	}
	rows, err := v.store.ExplainOthers(ctx, &store.ExplainOthersParams{
		IntentID:      x.Intent.Key,
		Patterns:      eventtype.Patterns(x.Intent.Type),
		Type:          name,
		Prefix:        prefix,
		Sites:         x.siteTexts(),
		Subscriptions: only,
		MaxRows:       maxExplainedLive + 1,
	})
	if err != nil {
		return fmt.Errorf("delivery: explain: %w", err)
	}
	if len(rows) > maxExplainedLive {
		rows, x.Truncated = rows[:maxExplainedLive], true
	}
	for _, row := range rows {
		outcome, why := judgeOther(&x.Intent, row)
		site := hierarchy.Path(row.Site)
		x.Subscriptions = append(x.Subscriptions, Explained{
			SubscriptionID: row.ID,
			Name:           row.Name,
			URL:            attempt.PublicURL(row.URL),
			Owner:          row.Owner,
			Site:           site,
			Outcome:        outcome,
			Why:            whys[site] + "; " + why,
			Live:           true,
			reason:         why,
		})
	}
	return nil
}

// judgeOther says why nothing was recorded for a subscription at a site that
// counts.
func judgeOther(in *IntentRecord, row store.ExplainOthersRow) (outcome DecisionOutcome, why string) {
	switch {
	case !row.HearsType:
		return DecisionNotMatched, fmt.Sprintf("hears %s, not %s", quotedList(row.Events), in.Type)
	case eventtype.IsReserved(in.Type) && !row.Operator:
		return DecisionNotMatched, "events of Riverhook's own are for subscriptions of the operator"
	case !row.HearsChannel && in.Channel == "":
		return DecisionNotMatched, fmt.Sprintf("hears only the channels %s; the intent is on none", quotedList(row.Channels))
	case !row.HearsChannel:
		return DecisionNotMatched, fmt.Sprintf("hears only the channels %s, not %q", quotedList(row.Channels), in.Channel)
	case row.DeletedAt != nil:
		return DecisionInactive, "deleted at " + clock(*row.DeletedAt) + ", before the expansion came to it"
	case in.State == IntentPending:
		return DecisionNotExpanded, "the expansion has not come to it yet" + in.notBefore()
	case in.State == IntentFailed:
		return DecisionFailed, "the expansion failed before it came to it"
	case in.State == IntentCancelled:
		return DecisionCancelled, "the expansion was cancelled before it came to it"
	case in.EndedAt != nil && row.CreatedAt.After(*in.EndedAt):
		return DecisionNotMatched, "made at " + clock(row.CreatedAt) + ", after the expansion"
	case in.EndedAt != nil && row.UpdatedAt.After(*in.EndedAt):
		return DecisionNotMatched, "matches as it is since " + clock(row.UpdatedAt) + ", after the expansion"
	default:
		return DecisionNotMatched, "matches now, and nothing is recorded any more of what it got then"
	}
}

func quotedList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = fmt.Sprintf("%q", text)
	}
	return strings.Join(quoted, ", ")
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
