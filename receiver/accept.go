package receiver

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// accept answers a POST to a receiver: limits, signature, payload, the inbox, and for
// a Sync one the first attempt.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request, t target) {
	if secret := r.Header.Get(headerHookSecret); secret != "" && t.rec.HookSecret != nil {
		h.acceptHookSecret(w, r, t, secret)
		return
	}
	contentType := r.Header.Get("Content-Type")
	if kindOf(contentType) == rawPayload && !t.rec.Raw {
		unsupported(w)
		return
	}
	body, ok := h.verify(w, r, t)
	if !ok {
		return
	}
	if t.rec.pings && r.Header.Get("X-Github-Event") == "ping" {
		writeJSON(w, http.StatusOK, summary{Message: "pong", Status: http.StatusOK})
		return
	}
	if challenge := challengeIn(body); challenge != "" {
		answerChallenge(w, challenge)
		return
	}
	ev := Event{
		ID:          newEventID(),
		Receiver:    t.rec.Name,
		Owner:       t.owner,
		DeliveryID:  t.rec.DeliveryID(r.Header, body),
		ContentType: strings.ToValidUTF8(contentType, ""),
		Header:      redact(r.Header, t.rec.RedactHeaders),
		Body:        body,
	}
	if err := t.rec.check(ev); errors.Is(err, errCharset) {
		unsupported(w)
		return
	} else if err != nil {
		problem(w, http.StatusBadRequest, "The body or the delivery id is malformed.")
		return
	}
	// A sender that goes away does not take back what it has sent.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), addTimeout)
	defer cancel()
	status, added, err := h.inbox.Add(ctx, ev)
	if err != nil {
		h.unavailable(w, r, "store an event", err)
		return
	}
	if added && t.rec.Sync {
		ran, err := h.inbox.Run(context.WithoutCancel(r.Context()), Ref{
			Receiver: ev.Receiver,
			Owner:    ev.Owner,
			ID:       status.ID,
		})
		if err != nil { // it is stored, and the inbox will see to it
			h.cfg.Logger.ErrorContext(r.Context(), "receiver: could not process an event at once", "event", status.ID, "error", err)
		} else {
			status = ran
		}
	}
	answerPost(w, t, status)
}

// check refuses what no Func should see. A Raw receiver takes every body as it is.
func (r Receiver) check(ev Event) error {
	err := checkDeliveryID(ev.DeliveryID)
	if err == nil && !r.Raw {
		err = checkPayload(ev.ContentType, ev.Body)
	}
	return err
}

func unsupported(w http.ResponseWriter) {
	w.Header().Set("Accept-Post", "application/json, application/*+json, application/x-www-form-urlencoded")
	problem(w, http.StatusUnsupportedMediaType, "The receiver does not take this content type.")
}

// addTimeout bounds the storing of an event.
const addTimeout = 30 * time.Second

// verify returns the body of a request that the sender has signed, or answers it.
func (h *Handler) verify(w http.ResponseWriter, r *http.Request, t target) ([]byte, bool) {
	secrets, err := t.rec.Secrets(r.Context(), t.owner)
	if err != nil {
		h.unavailable(w, r, "find the secrets of a receiver", err)
		return nil, false
	}
	var verifier dialect.Verifier = tokenOnly{}
	if t.rec.Verifier != nil {
		verifier = t.rec.Verifier
	}
	read := &readError{}
	r.Body = read.of(r.Body)
	body, err := dialect.VerifyRequest(r, verifier, secrets, &dialect.VerifyRequestOpts{MaxBody: t.rec.MaxBody, Now: h.cfg.Now})
	switch {
	case err == nil:
		return body, true
	case errors.Is(err, dialect.ErrBodyTooLarge):
		w.Header().Set("Connection", "close")
		problem(w, http.StatusRequestEntityTooLarge, "The body is too large.")
	case read.err != nil:
		problem(w, http.StatusBadRequest, "The body could not be read.")
	default:
		h.cfg.Logger.WarnContext(r.Context(), "receiver: a request was not verified", "receiver", t.rec.Name, "error", err)
		w.Header().Set("WWW-Authenticate", "Signature")
		problem(w, http.StatusUnauthorized, "The signature does not verify.")
	}
	return nil, false
}

// tokenOnly is the verifier of those who know the hook URL.
type tokenOnly struct{}

func (tokenOnly) Verify(http.Header, []byte, []dialect.Secret, time.Time) error { return nil }
