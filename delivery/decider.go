package delivery

import "github.com/riverhook/riverhook/delivery/internal/decide"

// newDecider makes what decides by a configuration.
func newDecider(cfg *Config) *decide.Decider {
	return &decide.Decider{
		Access:  decide.Access{Checkers: cfg.Access, RequireActor: cfg.RequireActor},
		Filters: decide.NewFilters(cfg.Filters),
		Messages: decide.Messages{
			Dialects:     cfg.Dialects,
			MaxBytes:     cfg.MaxRequestBytes,
			Timeout:      cfg.ExternalizeTimeout,
			Externalizer: cfg.Externalizers.find,
		},
		Tries: cfg.ExternalizeTries,
	}
}
