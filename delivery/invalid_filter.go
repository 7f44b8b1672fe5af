package delivery

import "errors"

// ErrInvalidFilter is behind the error for a [DeliveryFilter] or an [IntentFilter] that is
// refused: the error names the field and says what it must be. Nothing was read.
var ErrInvalidFilter = errors.New("invalid filter")

// filterError is an ErrInvalidFilter whose text is the reason alone.
type filterError struct{ error }

func (e filterError) Is(target error) bool { return target == ErrInvalidFilter }

func (e filterError) Unwrap() error { return e.error }

// refusedFilter makes the error of a check an ErrInvalidFilter.
func refusedFilter[T any](params T, err error) (T, error) {
	if err != nil {
		var none T
		return none, filterError{err}
	}
	return params, nil
}
