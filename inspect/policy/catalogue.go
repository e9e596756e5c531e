package policy

import (
	"slices"

	v "keepword/inspect/verdict"
)

// catalogue lists for each finding the actions that make sense; the first is the
// default.
var catalogue = [v.Findings][]v.Action{
	v.NoFinding: {v.Pass},

	// The promise: offered, asked, answered, begun.
	v.OfferRefused:                {v.Log, v.Pass, v.Hide, v.Kill},
	v.OfferRefusedTemporarily:     {v.Log, v.Pass, v.Hide, v.Kill},
	v.TLSRateLimited:              {v.Log, v.Pass, v.Kill},
	v.AnsweredForServer:           {v.Correct, v.Kill, v.Log, v.Pass},
	v.UnfitAnswer:                 {v.Correct, v.Kill, v.Log, v.Pass},
	v.SurplusReply:                {v.Kill, v.Log, v.Pass}, // without STARTTLS pending at most log
	v.PlaintextFromClientAfter220: {v.Kill, v.Log, v.Pass},
	v.PlaintextFromServerAfter220: {v.Kill, v.Log, v.Pass},
	v.SilenceAfter220:             {v.Kill, v.Log, v.Pass}, // log first, kill at the second limit
	v.HandshakeFailed:             {v.Log, v.Pass},
	v.PlaintextAfterTLS:           {v.Kill, v.Log, v.Pass},
	v.DowngradedAfterFailure:      {v.Log, v.Pass, v.Kill},
	v.OfferVanished:               {v.Log, v.Pass, v.Kill},
	v.EHLORefused:                 {v.Log, v.Pass, v.Kill},
	v.OfferMasked:                 {v.Log, v.Pass, v.Kill},
	v.GreetingMasked:              {v.Log, v.Pass, v.Kill},
	v.OfferInconsistent:           {v.Log, v.Pass, v.Kill},
	v.STARTTLSNotOffered:          {v.Log, v.Pass, v.Refuse, v.Kill},
	v.STARTTLSWithParameter:       {v.Log, v.Pass, v.Refuse, v.Kill},
	v.STARTTLSMalformed:           {v.Log, v.Pass, v.Refuse, v.Kill},
	v.STARTTLSInTransaction:       {v.Log, v.Pass, v.Refuse, v.Kill},
	v.TLSRequired:                 {v.Refuse, v.Kill, v.Log, v.Pass},
	v.TLSTooOld:                   {v.Log, v.Pass, v.Kill},
	v.ImplicitTLS:                 {v.Pass, v.Log, v.Kill},
	v.XAnonymoustls:               {v.Pass, v.Log, v.Kill},

	// Injection.
	v.CommandInjection:  {v.Kill, v.Log, v.Pass},
	v.EarlyClientHello:  {v.Delay, v.Kill, v.Log, v.Pass},
	v.ResponseInjection: {v.Kill, v.Log, v.Pass},
	v.AuthBeforeTLS:     {v.Log, v.Pass, v.Kill},
	v.AuthInClear:       {v.Log, v.Pass, v.Refuse, v.Kill},

	// End of mail data, lines.
	v.Smuggling:              {v.Kill, v.Log, v.Pass},
	v.SmugglingConfirmed:     {v.Kill, v.Log, v.Pass},
	v.BareNewline:            {v.Log, v.Pass, v.Kill},
	v.NULOctet:               {v.Log, v.Pass, v.Kill},
	v.LineTooLong:            {v.Log, v.Pass, v.Kill},
	v.BDATMalformed:          {v.Kill, v.Log, v.Pass},
	v.ReplyMalformed:         {v.Log, v.Pass, v.Kill},
	v.UnauthorisedPipelining: {v.Log, v.Pass, v.Kill},
	v.RoleSwap:               {v.Log, v.Pass, v.Kill},

	// TCP and IP.
	v.OverlapConflict: {v.Correct, v.Kill},
	v.DataOnSYN:       {v.Log, v.Pass},
	v.UrgentData:      {v.Correct, v.Kill, v.Log, v.Pass},
	v.BadChecksum:     {v.Log, v.Pass},
	v.BadHeader:       {v.Log, v.Pass},
	v.OutOfWindow:     {v.Log, v.Pass},
	v.ResetUnsure:     {v.Log, v.Pass},
	v.Gap:             {v.Log, v.Pass, v.Kill},
	v.Midstream:       {v.Log, v.Pass},
	v.TooManyHoles:    {v.Kill, v.Log, v.Pass},
	v.MemoryLimit:     {v.Kill, v.Log, v.Pass},
}

// Default returns the catalogue's action for f in mode enforce.
func Default(f v.Finding) v.Action { return catalogue[f][0] }

// Allowed returns the actions that make sense for f, the default first.
func Allowed(f v.Finding) []v.Action { return slices.Clone(catalogue[f]) }
