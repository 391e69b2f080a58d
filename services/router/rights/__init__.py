"""The rights of the person: everything held of them given out, or erased; and retention.

exporting   the whole record, with its files
asking      the request to erase, and its withdrawal;  erasing: the doing, when it is due
scope       whose and what that is;  ending: what becomes of a case (pure)
wiping      the rows;  forgetting: the events (pure);  passing: what is on its way out
letters     what of it stands among the dead letters;  files: what leaves the blob store
barring     what consumers drop of it, by the ledger (`shared.ledger`);  book: in and out of it
retention   what the policy keeps no longer
"""
