package send

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
)

// authorize checks again whether the owner may see the resource, as it was checked before
// the first attempt.
func (p *Preflight) authorize(ctx context.Context, in *Input) *attempt.Transition {
	if in.DataLater {
		data, err := in.Payloads.Get(ctx, payloads.Data)
		if err != nil {
			return p.notLoaded(ctx, in, err)
		}
		in.Event.Data, in.DataLater = data, false
	}
	asked := time.Now() // before the place was found, which counts as well
	place, err := p.Finder.Locate(ctx, in.By, decide.LookupOf(in.IntentID, &in.Event, in.TreeVersion))
	if tr := in.NotCalled(err); tr != nil {
		return tr
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // request sends nothing
	case err != nil:
		return p.hold(ctx, in, decide.NoPlace(), decide.PlaceReason(err), nil)
	}
	requests := p.Access.AppendRequests(nil, in.Event, place, in.Sub.Owner, in.Sub.Permission)
	answers, _, err := p.Access.Check(ctx, in.By, requests)
	if err != nil {
		return in.NotCalled(err)
	}
	for i, err := range answers {
		if err == nil {
			continue
		}
		switch outcome, reason, cause := decide.Refusal(err, requests[i]); {
		case outcome == decide.OutcomeDenied:
			return in.Cancel(callbacks.ReasonDenied + reason)
		case outcome == decide.OutcomeUnresolvable:
			return in.Cancel(callbacks.ReasonUnresolvable + reason)
		case ctx.Err() != nil:
			return nil // request sends nothing
		default:
			return p.hold(ctx, in, cause, reason, nil)
		}
	}
	in.AccessAt, in.Rechecked = asked, true
	return nil
}

// AccessIsOld says whether access has to be checked again.
func (r *Rereader) AccessIsOld(in *Input) bool {
	return !in.Sub.Operator && age(in.AccessAt, time.Now()) > r.cfg.MaxAccessAge
}
