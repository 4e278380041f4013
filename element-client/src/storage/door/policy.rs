//! How the stripes of a put are kept: as its bucket wanted it when the put
//! began, also where the bucket's owner has changed that meanwhile.

use gridmart_fabric::block::stripe_redundancy;
use gridmart_schemas::{
    problem::{Code, Problem},
    storage::Redundancy,
    wire::storage::StripeManifest,
};

use super::grant::Admitted;
use crate::storage::metadata::query;

impl Admitted {
    /// The policy of a put that began under `begun`; absent: that of now.
    pub(super) async fn policy(&self, begun: Option<Redundancy>) -> Result<Redundancy, Problem> {
        let present = self.bucket.bucket.redundancy;
        let Some(begun) = begun.filter(|begun| *begun != present) else {
            return Ok(present);
        };
        if self.former().await?.contains(&begun) {
            return Ok(begun);
        }
        Err(self.outdated(begun))
    }

    /// Refuses stripes that are not kept as the bucket wants it, or has wanted it
    /// while they could be begun.
    pub(super) async fn kept_check(&self, stripes: &[StripeManifest]) -> Result<(), Problem> {
        let present = self.bucket.bucket.redundancy;
        let Some(other) = stripes.iter().find(|stripe| !fits(stripe, present)) else {
            return Ok(());
        };
        let former = self.former().await?;
        let fits_any = |stripe: &StripeManifest| {
            fits(stripe, present) || former.iter().any(|former| fits(stripe, *former))
        };
        if stripes.iter().all(fits_any) {
            return Ok(());
        }
        Err(self.outdated(other.redundancy))
    }

    async fn former(&self) -> Result<Vec<Redundancy>, Problem> {
        let bucket = self.bucket.bucket.id;
        let read = self
            .service
            .read(move |connection| query::former_redundancies(connection, bucket));
        read.await
    }

    fn outdated(&self, begun: Redundancy) -> Problem {
        let bucket = &self.bucket.bucket;
        Problem::new(
            Code::PreconditionFailed,
            format!(
                "The bucket {} keeps what is put as {}, and not as {begun} any more: put it again.",
                bucket.name, bucket.redundancy
            ),
        )
    }
}

fn fits(stripe: &StripeManifest, policy: Redundancy) -> bool {
    stripe.redundancy == stripe_redundancy(policy, stripe.data_length)
}
