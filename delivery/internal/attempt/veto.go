package attempt

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/riverhook/riverhook/dialect"
)

const (
	// contentTypeServoCancel is what servo answers in place of dialect.ContentTypeCancel.
	contentTypeServoCancel = "application/vnd.opsani.servo.errors.CancelEventError+json"

	// maxVetoReason bounds, in characters, what a gate can have an application show.
	maxVetoReason = 500

	// unreadVeto stands for the reason of a veto whose body is not what it should be.
	unreadVeto = "the reason could not be read"

	// SilentVeto stands for the reason of a veto that gives none.
	SilentVeto = "no reason given"

	// LateVetoReason is shown of an event whose endpoint has answered as a gate does.
	LateVetoReason = "the endpoint answered with a veto, which changes nothing: the event has happened"
)

// IsVeto says whether an answer is one. The status and the content type decide: with
// a body that is broken or late it is a veto all the same.
func IsVeto(status int, header http.Header) bool {
	if status < http.StatusOK || status > 299 {
		return false
	}
	for _, value := range header.Values("Content-Type") {
		kind, _, _ := strings.Cut(value, ";")
		switch kind = strings.TrimSpace(kind); {
		case strings.EqualFold(kind, dialect.ContentTypeCancel), strings.EqualFold(kind, contentTypeServoCancel):
			return true
		}
	}
	return false
}

// VetoReason is what the body of a veto says, in one line and fit to be shown.
func VetoReason(body []byte) string {
	if reason := saidReason(body); reason != "" {
		return reason
	}
	return SilentVeto
}

// saidReason is "" where the body says nothing.
func saidReason(body []byte) string {
	var said struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(body, &said) != nil {
		return unreadVeto
	}
	return ShownLine(said.Reason, maxVetoReason)
}
