// SPDX-License-Identifier: Apache-2.0
//! TCP_CHECK: the server takes a connection.

use super::Target;

pub async fn test(target: &Target) -> Result<(), String> {
    target.connect().await.map(drop)
}
