package send

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/oauth2"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// tokenErrorCodes are those of RFC 6749, section 5.2. Others are not recorded: they can be
// any text, from a token endpoint that was sent a secret.
var tokenErrorCodes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
}

// classifyToken is for the failure of a request for a token. The token endpoint is the
// choice of the subscription's owner, as the endpoint is, so its failures count like those
// of the endpoint: a refusal as rejected, and a token endpoint that fails or cannot be
// reached as unreachable.
func classifyToken(err error) attempt.Verdict {
	v := attempt.Verdict{Outcome: attempt.OutcomeUnreachable, Class: attempt.ClassToken}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := refused.Response.StatusCode
		if status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
			v.Outcome = attempt.OutcomeRejected
		}
		v.Detail = fmt.Sprintf("the token endpoint answered %d", status)
		if slices.Contains(tokenErrorCodes, refused.ErrorCode) {
			v.Detail += " (" + refused.ErrorCode + ")"
		}
		return v
	}
	_, sending := errors.AsType[*url.Error](err)
	switch {
	case isTimeout(err):
		v.Outcome, v.Detail = attempt.OutcomeTimeout, "the token endpoint did not answer in time"
	case sending:
		v.Detail = "the token endpoint: " + classifyFailure(err).Detail
	default:
		v.Outcome, v.Detail = attempt.OutcomeFailed, "the answer of the token endpoint holds no bearer token"
	}
	return v
}
